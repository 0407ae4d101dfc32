import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { contentOfFolder, differing } from "../helpers/resume_stream.js";
import { elementBytes } from "../helpers/stream_model.js";
import { lastJson, runCli } from "./run_cli.js";

const ROW_BYTES = 6 * 10 * 2;
const DIMS = "t:0:2:4,y:6:3:6,x:10:4:8";
const bytes = elementBytes(0, (11 * ROW_BYTES) / 2, 2);
const rows = (from: number, to: number) => ({ input: bytes.subarray(from * ROW_BYTES, to * ROW_BYTES) });

let folder: string;
let whole: string;
let storeCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-resume-"));
  whole = join(folder, "whole.zarr");
  expect((await runCli(["write", whole, "--dtype", "uint16", "--dims", DIMS], rows(0, 11))).code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true }));

/** A store of the first five rows. */
async function begun(): Promise<string> {
  const store = join(folder, `run-${storeCount++}.zarr`);
  expect((await runCli(["write", store, "--dtype", "uint16", "--dims", DIMS], rows(0, 5))).code).toBe(0);
  return store;
}

describe("millrace write --mode resume", () => {
  it("takes from the store what is not said, and ends with the files of one run", async () => {
    const store = await begun();
    const result = await runCli(["write", store, "--mode", "resume", "--json"], rows(5, 11));
    expect(result).toMatchObject({ code: 0 });
    expect(lastJson(result)).toMatchObject({ rows: 11, rowsBefore: 5, bytesIn: 6 * ROW_BYTES });
    expect(differing(await contentOfFolder(store), await contentOfFolder(whole))).toEqual([]);
  });

  it("takes what is said and true, and says what it did", async () => {
    const store = await begun();
    const args = ["write", store, "--mode", "resume", "--dtype", "uint16", "--dims", DIMS, "--codec", "blosc"];
    const result = await runCli(args, rows(5, 11));
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/rows +11 \(t\), the first 5 as before/) });
    expect(differing(await contentOfFolder(store), await contentOfFolder(whole))).toEqual([]);
  });

  it.each([
    [["--dtype", "int16"], "dtype"],
    [["--dims", DIMS.replace("x:10:4:8", "x:10:5:10")], "chunk"],
    [["--codec", "zstd"], "codec"],
  ])("refuses %j, which the store does not say, and leaves it alone", async (flags, field) => {
    const store = await begun();
    const before = await contentOfFolder(store);
    const result = await runCli(["write", store, "--mode", "resume", "--json", ...flags], rows(5, 11));
    expect(result.code).toBe(2);
    const { error } = lastJson(result) as { error: { code: string; context: { fields: string[] } } };
    expect(error.code).toBe("RESUME_MISMATCH");
    expect(error.context.fields).toContain(field);
    expect(differing(await contentOfFolder(store), before)).toEqual([]);
  });

  it("refuses a place without a store", async () => {
    const result = await runCli(["write", join(folder, "absent.zarr"), "--mode", "resume"], rows(5, 11));
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("STORE_NOT_FOUND") });
  });

  it("stops at the length that is given, counted from the array's start", async () => {
    const store = await begun();
    const args = ["write", store, "--mode", "resume", "--dims", DIMS.replace("t:0", "t:8")];
    const result = await runCli(args, rows(5, 11));
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("WRITE_PAST_END") });
    const { shape } = JSON.parse(Buffer.from((await contentOfFolder(store)).get("zarr.json")!).toString());
    expect(shape).toEqual([8, 6, 10]);
  });
});
