import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { afterEach, describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import {
  type ArrayWriter,
  isMillraceError,
  memorySink,
  moduleSink,
  openArray,
  openWriter,
  throttledSink,
  verifyStore,
  type WriterOptions,
} from "../../dist/index.js";
import { elementBytes } from "../helpers/stream_model.js";
import { readAllWithZarrita } from "../helpers/zarrita_read.js";
import { testCodecs } from "../helpers/zstd.js";

const FRAME_BYTES = 40 * 64 * 2;
const FRAMES = 61;
const data = elementBytes(0, (FRAMES * FRAME_BYTES) / 2, 2);

const opened: ArrayWriter[] = [];
afterEach(async () => {
  for (const writer of opened.splice(0)) await writer.abort();
});

async function open(over: Partial<WriterOptions>, codec = testCodecs[testCodecs.length - 1]): Promise<ArrayWriter> {
  const writer = await openWriter({
    sink: memorySink(),
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec,
      dimensions: [
        { name: "t", size: null, chunk: 4, shard: 12 },
        { name: "y", size: 40, chunk: 16, shard: 32 },
        { name: "x", size: 64, chunk: 24 },
      ],
    },
    ...over,
  });
  opened.push(writer);
  return writer;
}

async function streamAll(writer: ArrayWriter, piece: number): Promise<void> {
  for (let at = 0; at < data.byteLength; at += piece) await writer.append(data.subarray(at, at + piece));
  await writer.close();
}

function storeHash(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash("sha256");
  for (const key of [...files.keys()].sort()) hash.update(key).update(files.get(key) as Uint8Array);
  return hash.digest("hex");
}

describe.each(testCodecs)("on worker threads, codec %s", (codec) => {
  it("gives one and the same store for any threads, helpers, batch size, depth and split", async () => {
    const hashes = new Set<string>();
    const variants: [Partial<WriterOptions>, number][] = [
      [{ threads: "inline" }, 999_998],
      [{ encodeThreads: 1, depth: 1, batchEpochs: 1 }, 5000],
      [{ encodeThreads: 3, depth: 4, batchEpochs: 2, copyHelpers: 0 }, 250],
      [{ encodeThreads: availableParallelism(), batchEpochs: 3, copyHelpers: 2 }, 65_536],
      [{ maxPendingBytes: 1 }, 40_002],
    ];
    for (const [over, piece] of variants) {
      const sink = memorySink();
      await streamAll(await open({ ...over, sink }, codec), piece);
      hashes.add(storeHash(sink.files));
      expect((await verifyStore(sink.files)).defects).toEqual([]);
    }
    expect(hashes.size).toBe(1);
  });

  it("is read by zarrita", async () => {
    const sink = memorySink();
    await streamAll(await open({ sink }, codec), 30_000);
    const read = await readAllWithZarrita(sink.files);
    expect(read.shape).toEqual([FRAMES, 40, 64]);
    expect(Buffer.compare(Buffer.from(read.data), data)).toBe(0);
  });
});

it("goes on encoding and delivering while the caller's thread is busy", async () => {
  const writer = await open({ batchEpochs: 2, depth: 2 });
  expect(writer.tryAppend(data)).toBe(2 * 8 * FRAME_BYTES);
  // Not a turn of the event loop: progress is seen in shared memory. The bound only ends a hang, which no time limit
  // of a test could.
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  for (let looks = 0; writer.watermarks.delivered < 8; looks++) {
    if (looks > 60_000) throw new Error("nothing was delivered while this thread was busy");
    Atomics.wait(nobody, 0, 0, 1);
  }
  expect(writer.tryAppend(data.subarray(16 * FRAME_BYTES))).toBeGreaterThan(0);
  await writer.abort();
});

it("a slow sink slows the producer down, with bounded memory pending", async () => {
  const inner = memorySink();
  const writer = await open(
    { sink: throttledSink(inner, { bytesPerSecond: 3_000_000, latencyMs: 1 }), batchEpochs: 1 },
    "none",
  );
  await streamAll(writer, 20_000);
  const m = writer.metrics();
  expect(m.sinkPendingBytesPeak).toBeGreaterThan(0);
  expect(m.sinkPendingBytesPeak).toBeLessThanOrEqual(writer.plan.output);
  expect(m.waits.some((wait) => wait.rule === "STAGING_FREE")).toBe(true);
  expect(Buffer.compare((await (await openArray(inner.files)).readRegion()).data, data)).toBe(0);
});

const faulty = (options: object) => moduleSink(new URL("../helpers/faulty_sink_module.js", import.meta.url), options);

it("a sink that fails on its thread stops the writer with the sink's error", async () => {
  const writer = await open({
    sink: faulty({ faults: [{ method: "write", nth: 3, action: "fail", code: "DISK_FULL" }] }),
  });
  const event = new Promise((resolve) => writer.on("error", resolve));
  await expect(streamAll(writer, 10_000)).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(isMillraceError(await event, "DISK_FULL")).toBe(true);
  await expect(writer.close()).rejects.toMatchObject({ code: "DISK_FULL" });
});

it("a delivery thread that dies is an error and not a hang", async () => {
  const writer = await open({ sink: moduleSink(new URL("../helpers/dying_sink.js", import.meta.url), {}) });
  await expect(streamAll(writer, 10_000)).rejects.toMatchObject({ code: "THREAD_FAILED" });
});

it("opening fails with the sink's error, and leaves no thread behind", async () => {
  const failing = faulty({ faults: [{ method: "open", nth: 1, action: "fail", code: "PERMISSION_DENIED" }] });
  await expect(open({ sink: failing })).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  await expect(open({ sink: moduleSink("file:///nowhere/sink.js", {}) })).rejects.toMatchObject({
    code: "INVALID_OPTION",
  });
});

it("emits a warning once the caller can listen, when memory had to shrink", async () => {
  const writer = await open({ memoryBudgetBytes: 600_000 });
  expect(writer.plan.reductions.some((message) => message.includes("memory budget"))).toBe(true);
  await new Promise<void>((resolve) => {
    writer.on("warning", ({ message }) => {
      if (message.includes("memory budget")) resolve();
    });
  });
});
