import { describe, expect, it } from "vitest";
import { flagOf, shellWords } from "../../../src/cli/shell_words.js";

describe("shellWords", () => {
  it.each([
    ['Use mode: "overwrite" to delete it first.', "Use --mode overwrite to delete it first."],
    ['mode "overwrite" does not delete /a: it is /.', "--mode overwrite does not delete /a: it is /."],
    ['/a holds no zarr.json, and the mode is "resume".', "/a holds no zarr.json, and --mode is resume."],
    ['Use backend "cpu" or "auto", or codec blosc.', "Use --backend cpu or auto, or codec blosc."],
    ["smaller, or use backend cpu.", "smaller, or use --backend cpu."],
    ['Option durability: "batch" needs a journal.', "--durability batch needs a journal."],
    ['Use fileSink, or durability "shard".', "Write into a folder, or use --durability shard."],
    ["recover with force: true (--force).", "recover with --force."],
    ["with fileSink(path, { force: true }) or --force.", "with --force."],
    ["Set memoryBudgetBytes, or …", "Set --memory, or …"],
    ["Option memoryBudgetBytes must be", "--memory must be"],
    ["Lower encodeThreads (now 8), or", "Lower --threads (now 8), or"],
    ["Lower batchEpochs (now 8) or leave it out.", "Lower --batch-bytes (now 8 epochs) or leave it out."],
    ["Set batchEpochs to 4, which takes half.", "Halve --batch-bytes."],
    ["allowSoftwareAdapter: true takes it", "--allow-software-adapter takes it"],
    ["s3Sink partBytes must be a whole number", "--part-bytes must be a whole number"],
    ["Use s3Sink({ bucket, prefix }), or s3://bucket/prefix.", "Use s3://bucket/prefix."],
    ["Option array.fillValue for int8 must be", "--fill for int8 must be"],
    ["Option array.attributes.a must be", "--attributes.a must be"],
    ['Option array.dimensions[1].chunk of dimension "y" must', '--dims: chunk of dimension "y" must'],
    ["Option array.dimensions[1].name must", "--dims: name of dimension 1 must"],
    ['Dimension 1 ("y") has size null, but', 'Dimension 1 ("y") has size 0 (unbounded), but'],
    ["Use null for an unbounded dimension.", "Use 0 for an unbounded dimension."],
    ["Make dimension 0 larger, or null for an", "Make dimension 0 larger, or null for an"],
    ["larger, or null for an unbounded one.", "larger in --dims, or 0 for an unbounded one."],
    ["1 rows, 11 rows, 2.1 bytes, 1 bytes", "1 row, 11 rows, 2.1 bytes, 1 byte"],
    [
      'Give dimension "t" a smaller weight, or lower chunkBytesMin or depth.',
      'Give dimension "t" a smaller weight, or raise --memory.',
    ],
    ["1 shards lie side by side and up to 2", "1 shard is as wide as the array, and up to 2"],
    // A place is no option.
    ["/data/encodeThreads/x and a.partBytes and dryRun/", "/data/encodeThreads/x and a.partBytes and dryRun/"],
  ])("says %j as %j", (message, shell) => {
    expect(shellWords(message)).toBe(shell);
  });

  it("knows the flag of every option", () => {
    expect(["partBytes", "endpoint", "memoryBudgetBytes"].map(flagOf)).toEqual([
      "--part-bytes",
      "--endpoint",
      "--memory",
    ]);
  });
});
