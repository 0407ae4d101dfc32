import { execFileSync } from "node:child_process";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openArray } from "../../src/store/array_reader.js";
import { readIfThere } from "../helpers/temp_folder.js";
import { buildTiff } from "../unit/tiff/tiff_builder.js";
import { lastJson, runCli, startCli } from "./run_cli.js";

const ROWS = 11;
const HEIGHT = 6;
const WIDTH = 10;
const ROW_BYTES = HEIGHT * WIDTH * 2;
const DIMS = `t:0:2:4,y:${HEIGHT}:3:6,x:${WIDTH}:4:8`;
const ARGS = ["--dtype", "uint16", "--dims", DIMS, "--codec", "none"];

/** Every element is its own index in the stream. */
const values = Uint16Array.from({ length: ROWS * HEIGHT * WIDTH }, (_, i) => i);
const bytes = new Uint8Array(values.buffer);

let folder: string;
let storeCount = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-write-"));
});
afterAll(() => rm(folder, { recursive: true }));

const newStore = () => join(folder, `run-${storeCount++}.zarr`);

async function readAll(store: string): Promise<number[]> {
  const { data } = await (await openArray(store)).readRegion();
  return [...new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)];
}

async function file(name: string, content: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe("millrace write", () => {
  it("writes stdin and says the documented object, which verify and inspect agree with", async () => {
    const store = newStore();
    const result = await runCli(["write", store, ...ARGS, "--json"], { input: bytes });
    expect(result).toMatchObject({ code: 0 });
    expect(lastJson(result)).toEqual({
      rows: ROWS,
      bytesIn: bytes.byteLength,
      bytesStored: expect.any(Number),
      seconds: expect.any(Number),
      backend: "cpu",
      adapter: expect.any(String),
      chunksByRoute: { cpu: expect.any(Number), gpu: 0 },
      appendNs: { p50: expect.any(Number), p99: expect.any(Number), p999: expect.any(Number), max: expect.any(Number) },
      peakRssBytes: expect.any(Number),
    });
    expect(await readAll(store)).toEqual([...values]);
    expect((await runCli(["verify", store, "--json"])).code).toBe(0);
    expect((await runCli(["inspect", store])).stdout).toContain("uint16");
  });

  it.each([1, 3, 7, ROW_BYTES - 1, 1_000_001])("takes appends of %i bytes", async (appendBytes) => {
    const store = newStore();
    const result = await runCli(["write", store, ...ARGS, "--append-bytes", String(appendBytes)], { input: bytes });
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/rows +11 \(t\)/) });
    expect(await readAll(store)).toEqual([...values]);
  });

  it("reads raw and TIFF files in order, of both byte orders", async () => {
    const pages = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => ({
        width: WIDTH,
        height: HEIGHT,
        samples: [...values.subarray((from + i) * HEIGHT * WIDTH, (from + i + 1) * HEIGHT * WIDTH)],
      }));
    const inputs = [
      await file("a.raw", bytes.subarray(0, 101)),
      await file("b.raw", bytes.subarray(101, 3 * ROW_BYTES)),
      await file("c.tif", buildTiff(pages(3, 7), false)),
      await file("d.tiff", buildTiff(pages(7, 10), true)),
      "-",
    ];
    const store = newStore();
    const result = await runCli(["write", store, ...ARGS, "--input", ...inputs], {
      input: bytes.subarray(10 * ROW_BYTES),
    });
    expect(result).toMatchObject({ code: 0 });
    expect(await readAll(store)).toEqual([...values]);
  });

  it("makes no store when the first file does not fit, and keeps the rows before a later misfit", async () => {
    const good = await file(
      "good.tif",
      buildTiff([{ width: WIDTH, height: HEIGHT, samples: [...values.subarray(0, 60)] }], true),
    );
    const bad = await file(
      "bad.tif",
      buildTiff([{ width: 9, height: HEIGHT, samples: [...values.subarray(0, 54)] }], true),
    );
    const untouched = newStore();
    const first = await runCli(["write", untouched, ...ARGS, "--input", bad, good]);
    expect(first).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("bad.tif, page 0: it is 6 × 9; --dims says 6 × 10"),
    });
    await expect(openArray(untouched)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });

    const store = newStore();
    const second = await runCli(["write", store, ...ARGS, "--input", good, bad, "--json"]);
    expect(second.code).toBe(1);
    expect(lastJson(second)).toMatchObject({
      error: {
        code: "INVALID_DATA",
        message: expect.stringMatching(
          /The store is closed and holds 1 row\. To go on .*: millrace write \S+ --mode resume$/,
        ),
        context: { expected: "6x10", got: "6x9", rowsPublished: 1, next: [expect.any(String)] },
      },
    });
    expect(await readAll(store)).toEqual([...values.subarray(0, 60)]);
  });

  it.each([
    [ROW_BYTES + 40, 40],
    [2 * ROW_BYTES + 41, 41],
    [1, 1],
  ])("keeps the whole rows of %i bytes and says that %i are left over", async (length, leftOver) => {
    const store = newStore();
    const result = await runCli(["write", store, ...ARGS, "--json"], { input: bytes.subarray(0, length) });
    const rows = Math.floor(length / ROW_BYTES);
    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${leftOver} byte${leftOver === 1 ? "" : "s"} left over`),
    });
    expect(lastJson(result)).toMatchObject({
      error: {
        code: "INCOMPLETE_ROW",
        message: expect.stringMatching(/To go on behind them: millrace write \S+ --mode resume$/),
        context: { leftOverBytes: leftOver, rowBytes: ROW_BYTES, rows },
      },
    });
    expect(await readAll(store)).toEqual([...values.subarray(0, rows * HEIGHT * WIDTH)]);
    expect((await runCli(["verify", store])).code).toBe(0);
  });

  it("closes a bounded array that is full and says how much was not accepted", async () => {
    const store = newStore();
    const args = ["--dtype", "uint16", "--dims", DIMS.replace("t:0", "t:5"), "--codec", "none"];
    const result = await runCli(["write", store, ...args, "--json"], { input: bytes });
    expect(result.code).toBe(1);
    expect(lastJson(result)).toMatchObject({ error: { code: "WRITE_PAST_END" } });
    expect(await readAll(store)).toEqual([...values.subarray(0, 5 * HEIGHT * WIDTH)]);
  });

  it("refuses an existing store unless it is told to overwrite", async () => {
    const store = newStore();
    const write = (input: Uint8Array, ...more: string[]) =>
      runCli(["write", store, ...ARGS, "--json", ...more], { input });
    expect((await write(bytes)).code).toBe(0);
    const refused = await write(bytes);
    expect(refused.code).toBe(1);
    expect(lastJson(refused)).toMatchObject({ error: { code: "STORE_EXISTS" } });
    expect((await write(bytes.subarray(0, ROW_BYTES), "--mode", "overwrite")).code).toBe(0);
    expect(await readAll(store)).toEqual([...values.subarray(0, HEIGHT * WIDTH)]);
    await writeFile(join(store, "notes.txt"), "somebody's");
    const foreign = await write(bytes, "--mode", "overwrite");
    expect(foreign.code).toBe(1);
    expect(lastJson(foreign)).toMatchObject({ error: { code: "STORE_FOREIGN", context: { names: ["notes.txt"] } } });
    expect(await readAll(store)).toEqual([...values.subarray(0, HEIGHT * WIDTH)]);
    expect((await write(bytes, "--mode", "overwrite", "--force")).code).toBe(0);
    expect(await readIfThere(join(store, "notes.txt"))).toBeUndefined();
  });

  it("gives whole chunks to the store after --max-age, and as soon as --batch-bytes are there", async () => {
    for (const flags of [
      ["--max-age", "20"],
      ["--max-age", "0", "--batch-bytes", `${2 * ROW_BYTES}`],
    ]) {
      const store = newStore();
      const { child, saw, result } = startCli(["write", store, ...ARGS, ...flags, "--progress", "json"]);
      // Chunks of two rows, and stdin stays open: nothing else makes a batch of them.
      child.stdin?.write(bytes.subarray(0, 5 * ROW_BYTES));
      await saw('"delivered":4');
      child.stdin?.end(bytes.subarray(5 * ROW_BYTES));
      expect(await result).toMatchObject({ code: 0 });
      expect(await readAll(store)).toEqual([...values]);
    }
  });

  it("writes one JSON line a second with --progress json", async () => {
    const result = await runCli(["write", newStore(), ...ARGS, "--progress", "json"], { input: bytes });
    const last = JSON.parse(result.stderr.trimEnd().split("\n").at(-1) ?? "");
    expect(last).toMatchObject({ rows: ROWS, queue: { slots: expect.any(Number) }, watermarks: { published: ROWS } });
  });

  it("closes the store on Ctrl-C: whole rows kept, exit code 130", async () => {
    const store = newStore();
    const { child, saw, result } = startCli(["write", store, ...ARGS, "--progress", "json", "--json"]);
    child.stdin?.write(bytes.subarray(0, 3 * ROW_BYTES + 16));
    await saw('"rows":3');
    child.kill("SIGINT");
    const ended = await result;
    expect(ended).toMatchObject({ code: 130, stderr: expect.stringContaining("closing the store") });
    expect(lastJson(ended)).toMatchObject({ rows: 3 });
    expect(await readAll(store)).toEqual([...values.subarray(0, 3 * HEIGHT * WIDTH)]);
  });

  it.skipIf(process.platform === "win32").each([0, 3])(
    "closes the store on Ctrl-C while a named pipe is silent, after %i rows",
    async (rows) => {
      const store = newStore();
      const pipe = join(folder, `pipe-${rows}`);
      execFileSync("mkfifo", [pipe]);
      const input = ["--input", pipe, "--progress", "json", "--json"];
      const { child, saw, result } = startCli(["write", store, ...ARGS, ...input]);
      // Opening it to write waits for the reader; with 0 rows nobody does.
      const writer = rows === 0 ? undefined : await open(pipe, "w");
      await writer?.write(bytes.subarray(0, rows * ROW_BYTES + 16));
      await saw(`"rows":${rows}`);
      child.kill("SIGINT");
      const ended = await result;
      expect(ended).toMatchObject({ code: 130, stderr: expect.stringContaining("closing the store") });
      expect(lastJson(ended)).toMatchObject({ rows });
      await writer?.close();
      expect(await readAll(store)).toEqual([...values.subarray(0, rows * HEIGHT * WIDTH)]);
    },
  );

  it("refuses a known file before it makes a store, and takes it for raw when it is told to", async () => {
    const png = await file(
      "frame.raw",
      Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), bytes.subarray(0, 2 * ROW_BYTES - 8)]),
    );
    const store = newStore();
    const refused = await runCli(["write", store, ...ARGS, "--input", png, "--json"]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("is a PNG image, which is not read") });
    expect(lastJson(refused)).toMatchObject({ error: { code: "INVALID_DATA", context: { content: "a PNG image" } } });
    await expect(openArray(store)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    const told = await runCli(["write", store, ...ARGS, "--input", png, "--input-format", "raw", "--json"]);
    expect(lastJson(told)).toMatchObject({ rows: 2 });
  });

  it("puts the planes of a stack where --dims wants them, tiled, compressed and with a predictor", async () => {
    // z slower than c, as ImageJ stores them: plane (c, z) holds 10 c + z.
    const pages = [0, 10, 1, 11, 2, 12].map((value, i) => ({
      width: 40,
      height: 20,
      samples: Array.from({ length: 800 }, (_, k) => 1000 * value + k),
      tile: [16, 16] as const,
      predictor: 2 as const,
      compression: { code: 8, encode: (block: Uint8Array) => deflateSync(block) },
      ...(i === 0 ? { description: "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\n" } : {}),
    }));
    const store = newStore();
    const input = await file("stack", buildTiff(pages, false, true));
    const dims = "t:0:1,c:2:1,z:3:3,y:20:20,x:40:40";
    const result = await runCli(["write", store, "--dtype", "uint16", "--dims", dims, "--input", input]);
    expect(result).toMatchObject({ code: 0 });
    const planes = [0, 1, 2, 10, 11, 12].flatMap((value) => Array.from({ length: 800 }, (_, k) => 1000 * value + k));
    expect(await readAll(store)).toEqual(planes);
  });

  it("ends with exit code 130 and a readable store when Ctrl-C comes twice", async () => {
    const store = newStore();
    const { child, saw, result } = startCli(["write", store, ...ARGS, "--progress", "json"]);
    child.stdin?.write(bytes.subarray(0, 9 * ROW_BYTES));
    await saw('"rows":9');
    child.kill("SIGINT");
    child.kill("SIGINT");
    expect((await result).code).toBe(130);
    // The second one may come after the store was closed: what is published is whole rows either way.
    const stored = await readAll(store);
    expect(stored).toEqual([...values.subarray(0, stored.length)]);
  });
});
