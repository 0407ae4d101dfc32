import { afterEach, describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import {
  type ArrayWriter,
  memorySink,
  openArray,
  openWriter,
  throttledSink,
  type WriterOptions,
} from "../../dist/index.js";
import { coordinateRows } from "../helpers/outcome.js";

const ROW_BYTES = 2 * 6000;
const array: WriterOptions["array"] = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "x", size: 6000, chunk: 2000, shard: 4000 },
  ],
};
const rows = coordinateRows(ROW_BYTES);

const opened: ArrayWriter[] = [];
afterEach(async () => {
  for (const writer of opened.splice(0)) await writer.abort();
});
async function open(over: Partial<WriterOptions>): Promise<ArrayWriter> {
  const writer = await openWriter({ sink: memorySink(), batchEpochs: 3, publishIntervalMs: 0, array, ...over });
  opened.push(writer);
  return writer;
}

describe.each(["workers", "inline"] as const)("with threads %s", (threads) => {
  it("watermarks are ordered and never fall, however often one looks", async () => {
    const inner = memorySink();
    // Batches of three epochs and shards of two: rows of shards are sealed while their batch is still being written.
    const sink = throttledSink(inner, { bytesPerSecond: 6_000_000, latencyMs: 1 });
    const writer = await open({ sink, threads });
    let before = [0, 0, 0, 0, 0];
    const seen = new Set<string>();
    const look = (): void => {
      const { accepted, encoded, delivered, durable, published } = writer.watermarks;
      const marks = [accepted, encoded, delivered, durable, published];
      for (let k = 0; k < 5; k++) {
        if (marks[k] < before[k] || (k > 0 && marks[k] > marks[k - 1])) {
          throw new Error(`watermarks ${marks.join(" ")} after ${before.join(" ")}`);
        }
      }
      before = marks;
      seen.add(marks.join(" "));
    };
    writer.on("progress", look);
    writer.on("shard", look);
    let ended = false;
    const stream = (async () => {
      for (let row = 0; row < 120; row += 3) await writer.append(rows(row, row + 3));
      await writer.close();
    })().finally(() => {
      ended = true;
    });
    while (!ended) {
      for (let i = 0; i < 500; i++) look();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await stream;
    look();
    expect(before).toEqual([120, 120, 120, 120, 120]);
    expect(seen.size).toBeGreaterThan(20);
    expect(Buffer.compare((await (await openArray(inner.files)).readRegion()).data, rows(0, 120))).toBe(0);
  });

  it("serves tryAppend, reserve and append in turns without losing a byte", async () => {
    const inner = memorySink();
    const sink = throttledSink(inner, { bytesPerSecond: 20_000_000, latencyMs: 0 });
    const writer = await open({ sink, threads, depth: 2, maxPendingBytes: 40_000 });
    const all = rows(0, 90);
    let at = 0;
    while (at < all.byteLength) {
      at += writer.tryAppend(all.subarray(at, at + 7000));
      const room = at < all.byteLength ? writer.reserve(Math.min(5000, all.byteLength - at)) : null;
      if (room !== null) {
        const half = (room.byteLength >> 2) * 2;
        room.set(all.subarray(at, at + half));
        writer.commit(half);
        at += half;
      }
      const part = all.subarray(at, at + 9002);
      await writer.append(part);
      at += part.byteLength;
    }
    await writer.close();
    const m = writer.metrics();
    expect(m.bytesIn).toBe(all.byteLength);
    expect(m.stagingSlotsBusyPeak).toBe(2);
    expect(m.stagingSlotsBusy + m.outputSlotsBusy).toBe(0);
    expect(Buffer.compare((await (await openArray(inner.files)).readRegion()).data, all)).toBe(0);
  });
});

it("keeps the process's memory flat over a hundred times more data", async () => {
  const writer = await open({ sink: { kind: "discard", location: "nowhere", options: {}, memoryBytes: () => 0 } });
  const frames = rows(0, 30);
  const run = async (rounds: number): Promise<number> => {
    for (let i = 0; i < rounds; i++) {
      await writer.append(frames);
      if (i % 50 === 0) await writer.flush();
    }
    await writer.flush();
    return process.memoryUsage.rss();
  };
  // What is measured first has seen every code path and has its heaps grown.
  await run(100);
  const before = await run(20);
  const after = await run(2000);
  await writer.close();
  expect(writer.watermarks.published).toBe(2120 * 30);
  // 720 MB went through; a leak of one batch's bookkeeping in a thousand would still pass, one of its bytes would not.
  expect(after - before).toBeLessThan(48 * 2 ** 20);
});
