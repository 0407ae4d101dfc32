import { join } from "node:path";
import { BroadcastChannel } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import {
  type ArrayWriter,
  fileSink,
  isMillraceError,
  moduleSink,
  openArray,
  openWriter,
  verifyStore,
  type WriterOptions,
} from "../../dist/index.js";
import { Gate } from "../helpers/faulty_sink.js";
import { elementBytes } from "../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { hasZstd, testCodecs } from "../helpers/zstd.js";

/**
 * A thread of a running stream dies. Nobody may wait for ever, the error says so, and what was published stays. Whoever is left must
 * still wait for the sink: it works on memory that the thread leaves behind.
 */
const channel = new BroadcastChannel("millrace-test-thread-killer");
const killer = new URL("../helpers/thread_killer.js", import.meta.url).href;
const ROW_BYTES = 2 * 3000;
const ROWS = 80;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

let before: string[];
beforeAll(() => {
  before = process.execArgv;
  process.execArgv = [...before, "--import", killer];
});
afterAll(() => {
  process.execArgv = before;
  channel.close();
});

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  path = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

const heldSink = (gate: Gate, nth: number) =>
  moduleSink(new URL("../helpers/held_file_sink.js", import.meta.url), { path, nth, gate: gate.memory });

function open(over: Partial<WriterOptions>, codec: string): Promise<ArrayWriter> {
  return openWriter({
    sink: fileSink(path),
    batchEpochs: 1,
    encodeThreads: 2,
    // A refresh that is due in a week must not keep a thread.
    publishIntervalMs: 7 * 24 * 3600 * 1000,
    array: {
      dtype: "uint16",
      codec,
      dimensions: [
        { name: "t", size: null, chunk: 4, shard: 8 },
        { name: "x", size: 3000, chunk: 1000, shard: 2000 },
      ],
    },
    ...over,
  });
}

async function publishedRows(): Promise<number> {
  const array = await openArray(path);
  const rows = array.metadata.shape[0];
  expect(Buffer.compare((await array.readRegion()).data, data.subarray(0, rows * ROW_BYTES))).toBe(0);
  expect((await verifyStore(path)).defects).toEqual([]);
  return rows;
}

describe.each(["exit", "throw"])("by %s", (how) => {
  it.each([
    ...testCodecs.flatMap((codec) => [
      ["engine_thread.js", codec],
      ["delivery_thread.js", codec],
    ]),
    ...(hasZstd ? [["encode_thread.js", "zstd:1"]] : []),
  ])("%s in mid-stream, codec %s", async (file, codec) => {
    const gate = new Gate();
    const writer = await open({ sink: heldSink(gate, 6) }, codec);
    // One row of shards is sealed and published; later batches stand in every stage behind the held write.
    await writer.append(data.subarray(0, 8 * ROW_BYTES));
    await writer.flush();
    const published = writer.watermarks.published;
    expect(published).toBe(8);
    const waiting = writer.append(data.subarray(8 * ROW_BYTES)).then(
      () => writer.append(data),
      (error) => Promise.reject(error),
    );
    waiting.catch(() => {});
    await gate.arrived();
    const failed = new Promise((resolve) => writer.on("error", resolve));
    channel.postMessage({ file, how });
    // All encode threads die; the batch that comes next notices. The write is let go by then, or nothing would come.
    if (file === "encode_thread.js") gate.release();
    const error = await failed;
    gate.release();
    expect(isMillraceError(error, "THREAD_FAILED")).toBe(true);
    await expect(waiting).rejects.toMatchObject({ code: "THREAD_FAILED" });
    await expect(writer.close()).rejects.toMatchObject({ code: "THREAD_FAILED" });
    await expect(writer.flush()).rejects.toMatchObject({ code: "THREAD_FAILED" });
    await writer.abort();
    expect(await publishedRows()).toBeGreaterThanOrEqual(published);
  });

  it.each(["engine_thread.js", "delivery_thread.js"])("%s while the stream is idle", async (file) => {
    const writer = await open({}, testCodecs[testCodecs.length - 1]);
    await writer.append(data.subarray(0, 10 * ROW_BYTES));
    await writer.flush();
    const failed = new Promise((resolve) => writer.on("error", resolve));
    channel.postMessage({ file, how });
    expect(isMillraceError(await failed, "THREAD_FAILED")).toBe(true);
    await expect(writer.append(data)).rejects.toMatchObject({ code: "THREAD_FAILED" });
    await expect(writer.close()).rejects.toMatchObject({ code: "THREAD_FAILED" });
    expect(await publishedRows()).toBe(8);
  });
});

it("a held write keeps teardown waiting, also when the engine is gone", async () => {
  const gate = new Gate();
  const writer = await open({ sink: heldSink(gate, 1) }, "none");
  await writer.append(data.subarray(0, 4 * ROW_BYTES));
  await gate.arrived();
  channel.postMessage({ file: "engine_thread.js", how: "exit" });
  let ended = false;
  const closed = new Promise((resolve) => writer.on("error", resolve))
    .then(() => writer.close())
    .catch((error) => {
      ended = true;
      return error;
    });
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(false);
  gate.release();
  expect(isMillraceError(await closed, "THREAD_FAILED")).toBe(true);
});

it("a sink whose options cannot be sent is a wrong option, and starts no thread", async () => {
  let started = 0;
  const count = (): void => {
    started++;
  };
  process.on("worker", count);
  try {
    await expect(open({ sink: moduleSink(killer, { callback: () => {} }) }, "none")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      context: { option: "sink" },
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(started).toBe(0);
    await (await open({}, "none")).close();
    expect(started).toBe(2);
  } finally {
    process.off("worker", count);
  }
});
