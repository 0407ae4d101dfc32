import { once } from "node:events";
import { join } from "node:path";
import { BroadcastChannel, type Worker } from "node:worker_threads";
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
import { codeOf } from "../helpers/outcome.js";
import { elementBytes } from "../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { hasZstd, testCodecs } from "../helpers/zstd.js";

/**
 * A thread of a running stream dies. Nobody may wait for ever, the error says so, and what was published stays. Whoever
 * is left must still wait for the sink: it works on memory that the thread leaves behind.
 */
const channel = new BroadcastChannel("millrace-test-thread-killer");
const killer = new URL("../helpers/thread_killer.js", import.meta.url).href;
const ROW_BYTES = 2 * 3000;
const ROWS = 80;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

let before: string[];
beforeAll(() => {
  before = process.execArgv;
  // Node itself decides what workers inherit, and looks at no later change of execArgv, unless this flag is there.
  process.execArgv = [...before, "--input-type=module", "--import", killer];
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

const heldSink = (gate: Gate, nth: number, method = "write") =>
  moduleSink(new URL("../helpers/held_file_sink.js", import.meta.url), { path, method, nth, gate: gate.memory });

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

/** Ends the thread and waits until the writer knows. */
async function kill(writer: ArrayWriter, file: string, how: string): Promise<unknown> {
  const failed = new Promise((resolve) => writer.on("error", resolve));
  channel.postMessage({ file, how });
  return failed;
}

/** At which call of the sink a thread ends: what is held then, and what the writer is doing. */
const STAGES: readonly [
  stage: string,
  method: string,
  nth: number,
  start: (writer: ArrayWriter) => Promise<unknown>[],
][] = [
  ["while a shard is sealed", "seal", 1, (writer) => [writer.append(data)]],
  ["while the shape is published", "putObject", 2, (writer) => [writer.append(data), writer.flush()]],
  ["during a flush", "write", 1, (writer) => [writer.append(data.subarray(0, 10 * ROW_BYTES)), writer.flush()]],
  ["during a close", "write", 1, (writer) => [writer.append(data), writer.close()]],
  [
    "while a close ends the last row",
    "seal",
    1,
    (writer) => [writer.append(data.subarray(0, ROW_BYTES)), writer.close()],
  ],
  ["while a close closes the sink", "close", 1, (writer) => [writer.append(data), writer.close()]],
];

describe.each(["engine_thread.js", "delivery_thread.js"])("%s ends", (file) => {
  it.each(STAGES)("%s", async (_, method, nth, start) => {
    const gate = new Gate();
    const writer = await open({ sink: heldSink(gate, nth, method) }, testCodecs[testCodecs.length - 1]);
    const calls = start(writer).map(codeOf);
    await gate.arrived();
    expect(isMillraceError(await kill(writer, file, "exit"), "THREAD_FAILED")).toBe(true);
    gate.release();
    // What was done before is done; the rest has one reason.
    for (const code of await Promise.all(calls)) expect(["", "THREAD_FAILED"]).toContain(code);
    expect(await codeOf(writer.append(data))).toBe("THREAD_FAILED");
    expect(await codeOf(writer.close())).toBe("THREAD_FAILED");
    await writer.abort();
    expect(writer.metrics().waiting).toEqual([]);
    await publishedRows();
  });

  it("during an abort", async () => {
    const gate = new Gate();
    const writer = await open({ sink: heldSink(gate, 6) }, "none");
    await writer.append(data.subarray(0, 8 * ROW_BYTES));
    await writer.flush();
    const appended = codeOf(writer.append(data.subarray(8 * ROW_BYTES)));
    await gate.arrived();
    const aborted = writer.abort();
    expect(await appended).toBe("WRITER_ABORTED");
    channel.postMessage({ file, how: "exit" });
    gate.release();
    await aborted;
    expect(await codeOf(writer.close())).toBe("WRITER_ABORTED");
    expect(writer.metrics().waiting).toEqual([]);
    expect([8, 16]).toContain(await publishedRows());
  });

  it("while the store opens", async () => {
    const gate = new Gate();
    // Delivery's worker starts first.
    const workers: Worker[] = [];
    const onWorker = (worker: unknown): void => void workers.push(worker as Worker);
    process.on("worker", onWorker);
    const code = codeOf(open({ sink: heldSink(gate, 1, "open") }, "none"));
    await gate.arrived();
    process.off("worker", onWorker);
    const exited = once(workers[file === "delivery_thread.js" ? 0 : 1], "exit").then(() => true);
    // Until it is ended: it may still be loading what hears of this.
    const pause = () => new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5));
    do channel.postMessage({ file, how: "exit" });
    while (!(await Promise.race([exited, pause()])));
    gate.release();
    expect(await code).toBe("THREAD_FAILED");
  });

  it("before it begins", async () => {
    process.env.MILLRACE_TEST_KILL = file;
    try {
      expect(await codeOf(open({}, "none"))).toBe("THREAD_FAILED");
    } finally {
      delete process.env.MILLRACE_TEST_KILL;
    }
    await (await open({ mode: "overwrite" }, "none")).close();
  });
});

it.runIf(hasZstd)("encode threads that end before they begin are openWriter's error", async () => {
  process.env.MILLRACE_TEST_KILL = "encode_thread.js";
  try {
    expect(await codeOf(open({}, "zstd:1"))).toBe("THREAD_FAILED");
  } finally {
    delete process.env.MILLRACE_TEST_KILL;
  }
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
