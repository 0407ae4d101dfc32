import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lastJson, runCli } from "./run_cli.js";

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), "millrace-test-"));
});
afterEach(() => rm(out, { recursive: true }));

const SMALL = ["bench", "smallepoch", "--prefill", "--rounds", "1", "--codec", "none"];

describe("bench", () => {
  it.each<[string[], number, RegExp]>([
    [["orca"], 2, /INVALID_OPTION.*orca2/],
    [["orca2_multiscale"], 2, /NOT_YET/],
    [["smallepoch", "--sink", "s3"], 2, /needs --out s3:/],
    [["smallepoch", "--fill", "images"], 2, /INVALID_OPTION.*--images/],
    [["smallepoch", "--append-bytes", "511"], 2, /INVALID_OPTION.*511/],
    [["smallepoch", "--sink", "file", "--out", "/no/such/folder"], 2, /INVALID_OPTION.*--out/],
  ])("%j is refused with exit code %i", async (args, code, message) => {
    const result = await runCli(["bench", ...args]);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  it("prints no figure for a run that covers too little", async () => {
    const result = await runCli([...SMALL, "--no-ceilings", "--batches", "3"]);
    expect(result.stderr).toMatch(/INSUFFICIENT_COVERAGE/);
    expect(result).toMatchObject({ code: 1, stdout: "" });
  });

  it("measures writer and ceilings, counts every byte, and leaves nothing behind", async () => {
    const result = await runCli([...SMALL, "--seconds", "0.5", "--sink", "file", "--out", out, "--json"]);
    expect(result.code, result.stderr).toBe(0);
    const bench = lastJson(result) as {
      schema: number;
      gbPerSecond: { median: number };
      ceilings: { kind: string; writerOverCeiling: { median: number } }[];
      rounds: { writer: { bytesIn: number; bytesStored: number; batches: number; batchBytes: number } }[];
    };
    expect(bench.schema).toBe(1);
    const [{ writer }] = bench.rounds;
    expect(writer.bytesIn).toBe(writer.batches * writer.batchBytes);
    // Codec none: chunks as they are, and the indexes of the shards sealed inside the window.
    expect(writer.bytesStored).toBeGreaterThan(writer.bytesIn);
    expect(writer.bytesStored).toBeLessThan(writer.bytesIn * 1.001);
    expect(bench.ceilings.map(({ kind }) => kind)).toEqual(["copy", "disk"]);
    for (const { writerOverCeiling } of bench.ceilings) expect(writerOverCeiling.median).toBeGreaterThan(0);
    expect(await readdir(out)).toEqual([]);
  });
});
