import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ErrorCode, isMillraceError } from "../../src/base/errors.js";
import type { WriterOptions } from "../../src/options.js";
import { fileSink, memorySink } from "../../src/sinks/specs.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/** Wrong options are refused before anything exists: no folder, no file, no thread. */
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  path = join(folder, "deep", "run.zarr");
});
afterEach(() => removeFolder(folder));

const dimensions = [
  { name: "t", size: null, chunk: 2, shard: 4 },
  { name: "x", size: 12, chunk: 4 },
];
const array = { dtype: "uint16", codec: "none", dimensions };
const inArray = (over: object) => ({ array: { ...array, ...over } });
const inDimension = (i: number, over: object) =>
  inArray({ dimensions: dimensions.map((d, k) => (k === i ? { ...d, ...over } : d)) });

const cases: [string, ErrorCode, object][] = [
  ["an unknown option", "INVALID_OPTION", { durabilty: "none" }],
  ["no sink", "INVALID_OPTION", { sink: undefined }],
  ["a path for a sink", "INVALID_OPTION", { sink: "run.zarr" }],
  ["no array", "INVALID_OPTION", { array: undefined }],
  ["an array that is none", "INVALID_OPTION", { array: [] }],
  ["an unknown member of the array", "INVALID_OPTION", inArray({ shape: [1] })],
  ["an unknown mode", "INVALID_OPTION", { mode: "append" }],
  ["mode resume where nothing is", "STORE_NOT_FOUND", { mode: "resume" }],
  ["an unknown backend", "INVALID_OPTION", { backend: "cuda" }],
  ["backend gpu", "BACKEND_UNAVAILABLE", { backend: "gpu", ...inArray({ codec: "none" }) }],
  ["libzstd on the GPU", "CODEC_NOT_ON_BACKEND", { backend: "gpu", ...inArray({ codec: "zstd:3" }) }],
  ["allowSoftwareAdapter 1", "INVALID_OPTION", { allowSoftwareAdapter: 1 }],
  ["an unknown durability", "INVALID_OPTION", { durability: "row" }],
  ["durability batch without a journal", "INVALID_OPTION", { durability: "batch", sink: memorySink() }],
  ["batchEpochs 0", "INVALID_OPTION", { batchEpochs: 0 }],
  ["batchEpochs 1.5", "INVALID_OPTION", { batchEpochs: 1.5 }],
  ["depth 0", "INVALID_OPTION", { depth: 0 }],
  ["depth 17", "INVALID_OPTION", { depth: 17 }],
  ["a budget of text", "INVALID_OPTION", { memoryBudgetBytes: "1GB" }],
  ["a budget too small", "MEMORY_BUDGET_EXCEEDED", { memoryBudgetBytes: 1000 }],
  ["maxPendingBytes 0", "INVALID_OPTION", { maxPendingBytes: 0 }],
  ["encodeThreads 0", "INVALID_OPTION", { encodeThreads: 0 }],
  ["copyHelpers −1", "INVALID_OPTION", { copyHelpers: -1 }],
  ["unknown threads", "INVALID_OPTION", { threads: "main" }],
  ["publishIntervalMs NaN", "INVALID_OPTION", { publishIntervalMs: Number.NaN }],
  ["publishIntervalMs beyond a timer", "INVALID_OPTION", { publishIntervalMs: 2 ** 31 }],
  ["a signal that is none", "INVALID_OPTION", { signal: new AbortController() }],
  ["an aborted signal", "WRITER_ABORTED", { signal: AbortSignal.abort() }],
  ["an unknown dtype", "UNKNOWN_DTYPE", inArray({ dtype: "float8" })],
  ["no dimensions", "BAD_GEOMETRY", inArray({ dimensions: [] })],
  ["dimensions that are none", "INVALID_OPTION", inArray({ dimensions: "t,y,x" })],
  ["an unknown codec", "UNKNOWN_CODEC", inArray({ codec: { name: "lz4" } })],
  ["a level for blosc", "INVALID_OPTION", inArray({ codec: { name: "blosc", level: 5 } })],
  ["a level out of range", "INVALID_OPTION", inArray({ codec: { name: "zstd", level: 23 } })],
  ["a fill value out of range", "INVALID_OPTION", inArray({ fillValue: 65536 })],
  ["a fill value of null", "INVALID_OPTION", inArray({ fillValue: null })],
  ["attributes that are no JSON", "INVALID_OPTION", inArray({ attributes: { when: new Date(0) } })],
  ["a dimension without a name", "INVALID_OPTION", inDimension(0, { name: "" })],
  ["two dimensions of one name", "INVALID_OPTION", inDimension(1, { name: "t" })],
  ["an unbounded inner dimension", "BAD_GEOMETRY", inDimension(1, { size: null })],
  ["a size of 0", "INVALID_OPTION", inDimension(1, { size: 0 })],
  ["a chunk of 0", "INVALID_OPTION", inDimension(0, { chunk: 0 })],
  ["a shard that is no multiple", "BAD_GEOMETRY", inDimension(0, { shard: 5 })],
  ["a chunk too large", "BAD_GEOMETRY", inDimension(0, { chunk: 2 ** 31, shard: 2 ** 31 })],
  ["an unknown type of dimension", "INVALID_OPTION", inDimension(0, { type: "depth" })],
  ["a scale of 0", "INVALID_OPTION", inDimension(0, { scale: 0 })],
  ["an empty unit", "INVALID_OPTION", inDimension(0, { unit: "" })],
];

it.each(cases)("refuses %s with %s and leaves nothing behind", async (_, code, over) => {
  let started = 0;
  const count = (): void => {
    started++;
  };
  process.on("worker", count);
  try {
    const options = { sink: fileSink(path), array, ...over } as unknown as WriterOptions;
    const error = await openWriter(options).then(
      () => undefined,
      (e) => e,
    );
    expect(isMillraceError(error)).toBe(true);
    expect(error).toMatchObject({ code });
    expect(error.message.length).toBeGreaterThan(20);
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("worker", count);
  }
  expect(started).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});

it.each([undefined, null, "options", 5])("refuses %s in place of options", async (options) => {
  await expect(openWriter(options as never)).rejects.toMatchObject({ code: "INVALID_OPTION" });
});

it("refuses a store that exists, and leaves it as it was", async () => {
  const options = { sink: fileSink(path), array, threads: "inline" } as unknown as WriterOptions;
  const first = await openWriter(options);
  await first.append(new Uint16Array(24).fill(7));
  await first.close();
  const before = await readdir(path, { recursive: true });
  await expect(openWriter(options)).rejects.toMatchObject({ code: "STORE_EXISTS" });
  expect(await readdir(path, { recursive: true })).toEqual(before);
  const second = await openWriter({ ...options, mode: "overwrite" });
  expect(existsSync(join(path, "c"))).toBe(false);
  await second.close();
});
