import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MEMORY_ITEMS } from "../helpers/memory_items.js";
import { lastJson, runCli } from "./run_cli.js";

const DIMS = ["--dtype", "uint16", "--dims", "t:0:2:4,y:6:3:6,x:10:4:8"];

describe("millrace advise", () => {
  it("prints a layout, its memory and files, and a line that writes it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-advise-"));
    try {
      const store = join(folder, "run.zarr");
      const args = ["advise", store, "--dtype", "uint16", "--dims", "t:0:0,y:64:-1,x:48:-1", "--codec", "zstd:3"];
      const result = await runCli([...args, "--memory", "64MiB", "--threads", "1"]);
      expect(result).toMatchObject({ code: 0, stderr: "" });
      for (const text of [/^t +size unbounded, chunk 1, shard \d+$/m, /^y +size 64, chunk 64, shard 64$/m])
        expect(result.stdout).toMatch(text);
      expect(result.stdout).toMatch(/^memory +[\d.]+ MB, in batches of \d+ epochs$/m);
      expect(result.stdout).toMatch(/^files +1 file for \d+ rows \(t\)$/m);
      const line = result.stdout.trimEnd().split("\n").at(-1)!;
      expect(line).toMatch(/^millrace write .* --codec zstd:3 --memory 67108864 --threads 1$/);
      const written = await runCli([...line.split(" ").slice(1), "--backend", "cpu"], {
        input: new Uint8Array(2 * 64 * 48),
      });
      expect(written).toMatchObject({ code: 0 });
      const metadata = JSON.parse(await readFile(join(store, "zarr.json"), "utf8"));
      expect(metadata).toMatchObject({ shape: [1, 64, 48], codecs: [{ configuration: { chunk_shape: [1, 64, 48] } }] });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("says the same as JSON, with the flags of a bucket in the line", async () => {
    const args = [
      "advise",
      "s3://bucket/a.zarr",
      "--region",
      "r",
      "--part-bytes",
      "8MiB",
      "--dtype",
      "uint8",
      "--dims",
      "t:0,y:512,x:512",
    ];
    const advised = lastJson(await runCli([...args, "--threads", "1", "--memory", "1GiB", "--json"]));
    expect(advised).toMatchObject({
      dims: expect.stringMatching(/^t:0:\d+:\d+,y:512:\d+:512,x:512:\d+:512$/),
      filesPerShardRow: 1,
      rowsPerShardRow: expect.any(Number),
      memory: { totalBytes: expect.any(Number), staging: expect.any(Number) },
      reasons: expect.arrayContaining([expect.stringContaining("A chunk of")]),
      write: expect.stringMatching(
        /^millrace write s3:\/\/bucket\/a\.zarr --region r --dtype uint8 --dims t:0:.*--part-bytes 8388608$/,
      ),
    });
  });

  it.each<[string[], RegExp]>([
    [["--dims", "t:0"], /required option '--dtype <dtype>' not specified/],
    [["--dtype", "uint8", "--dims", "t"], /expected name:size or name:size:weight/],
    [["--dtype", "uint8", "--dims", "t:0,y:4:-2"], /weight is "-2"; expected -1, 0 or a number above 0/],
    [["--dtype", "uint8", "--dims", "t:0:-1"], /is unbounded, so no chunk can span it/],
    [["--dtype", "uint16", "--dims", "t:0,y:4", "--chunk-bytes", "1"], /--chunk-bytes must be a whole number from 2/],
  ])("refuses %j", async (flags, message) => {
    expect(await runCli(["advise", ...flags])).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  });
});

describe("millrace estimate", () => {
  it("sums up the items, and says how long the sink may stand still", async () => {
    const args = ["estimate", ...DIMS, "--batch-bytes", "480", "--max-age", "0", "--rate", "100"];
    const { memory, elasticity } = lastJson(await runCli([...args, "--json"])) as {
      memory: Record<string, number>;
      elasticity: unknown;
    };
    expect(MEMORY_ITEMS.reduce((sum, item) => sum + memory[item], 0)).toBe(memory.totalBytes);
    expect(memory.epochsPerBatch).toBe(2);
    // Two of three slots each way, of two epochs of two rows.
    expect(elasticity).toEqual({ frames: 16, ms: 160, bytesPerSecond: 12_000 });
    const { stdout } = await runCli(args);
    expect(stdout).toMatch(/^staging +[\d.]+ kB, slots that the input is copied into$/m);
    expect(stdout).toMatch(/^input +100 frames a second, 12\.0 kB\/s$/m);
    expect(stdout).toMatch(/^elasticity +the sink may stand still for 16 frames, 160 ms, before input waits$/m);
  });

  it("counts a batch that its age gives on for what it holds", async () => {
    const args = ["estimate", ...DIMS, "--max-age", "100", "--rate", "60", "--json"];
    expect(lastJson(await runCli(args))).toMatchObject({ elasticity: { frames: 24, ms: 400 } });
    expect(lastJson(await runCli(["estimate", ...DIMS, "--json"]))).not.toHaveProperty("elasticity");
  });

  it.each<[string[], RegExp]>([
    [["--memory", "1KiB"], /MEMORY_BUDGET_EXCEEDED/],
    [["--rate", "0"], /Expected a rate above 0/],
    [["--unit", "z:meter"], /--unit names dimension "z"/],
  ])("refuses %j", async (flags, message) => {
    const result = await runCli(["estimate", ...DIMS, ...flags]);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  });
});
