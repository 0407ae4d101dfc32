/** Whole epochs reach the sink although their batch is not full, and no byte depends on when. */
import { afterEach, describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import {
  type ArrayWriter,
  discardSink,
  memorySink,
  openArray,
  openWriter,
  type WriterOptions,
} from "../../dist/index.js";
import { seededRandom } from "../../src/bench/seeded_random.js";
import { elementBytes } from "../helpers/stream_model.js";
import { testCodecs } from "../helpers/zstd.js";

const WIDTH = 96;
const EPOCH_ROWS = 3;

const opened: ArrayWriter[] = [];
afterEach(async () => {
  for (const writer of opened.splice(0)) await writer.abort();
});

async function open(over: Partial<WriterOptions>, codec: WriterOptions["array"]["codec"] = "none") {
  const writer = await openWriter({
    sink: memorySink(),
    backend: "cpu",
    publishIntervalMs: 0,
    batchEpochs: 5,
    array: {
      dtype: "uint16",
      codec,
      dimensions: [
        { name: "t", size: null, chunk: EPOCH_ROWS, shard: 4 * EPOCH_ROWS },
        { name: "x", size: WIDTH, chunk: 32, shard: 64 },
      ],
    },
    ...over,
  });
  opened.push(writer);
  return writer;
}

it("delivers whole epochs of a batch that is not full, while the caller's thread is busy", async () => {
  const writer = await open({ sink: discardSink(), batchEpochs: 1000, maxBatchAgeMs: 1 });
  for (const rows of [2, 5, 9]) {
    writer.tryAppend(elementBytes(0, rows * WIDTH, 2));
    const { accepted } = writer.watermarks;
    // Shared memory is all that this loop sees. Only their age brings these rows to the sink.
    while (writer.watermarks.delivered < accepted - (accepted % EPOCH_ROWS));
  }
  expect(writer.watermarks).toMatchObject({ accepted: 16, encoded: 15, delivered: 15 });
  await writer.close();
  expect(writer.watermarks.published).toBe(16);
});

it("is 1000 ms unless said otherwise, and refuses what no timer can wait for", async () => {
  const writer = await open({ sink: discardSink(), batchEpochs: 1000, threads: "inline" });
  await writer.append(elementBytes(0, EPOCH_ROWS * WIDTH, 2));
  while (writer.watermarks.delivered < EPOCH_ROWS) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const maxBatchAgeMs of [-1, 0.5, Number.POSITIVE_INFINITY, 2 ** 31]) {
    await expect(open({ maxBatchAgeMs })).rejects.toMatchObject({
      code: "INVALID_OPTION",
      context: { option: "maxBatchAgeMs" },
    });
  }
});

describe.each(["workers", "inline"] as const)("with threads %s", (threads) => {
  it.each(testCodecs)("writes the same files whenever epochs are taken for their age, codec %s", async (codec) => {
    for (let seed = 1; seed <= 4; seed++) {
      const random = seededRandom(seed);
      const depth = 1 + Math.floor(random() * 3);
      const plain = memorySink();
      const aged = memorySink();
      const writers = [
        await open({ sink: plain, threads, maxBatchAgeMs: 0, depth }, codec),
        await open({ sink: aged, threads, maxBatchAgeMs: 1, depth }, codec),
      ];
      let at = 0;
      let agedRows = 0;
      for (let i = 0; i < 40; i++) {
        const what = random();
        if (what < 0.15 && at % WIDTH === 0) {
          const rows = 1 + Math.floor(random() * 2 * EPOCH_ROWS);
          for (const writer of writers) await writer.skip(rows);
          at += rows * WIDTH;
        } else if (what < 0.2) {
          for (const writer of writers) await writer.flush();
        } else {
          const elements = 1 + Math.floor(random() * 4 * WIDTH);
          const bytes = elementBytes(at, elements, 2);
          for (const writer of writers) await writer.append(bytes);
          at += elements;
        }
        if (random() < 0.3) {
          const rows = Math.floor(at / (WIDTH * EPOCH_ROWS)) * EPOCH_ROWS;
          if (writers[1].watermarks.delivered < rows) agedRows++;
          while (writers[1].watermarks.delivered < rows) await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
      if (at % WIDTH > 0) for (const writer of writers) await writer.append(elementBytes(at, WIDTH - (at % WIDTH), 2));
      for (const writer of writers) await writer.close();
      expect(agedRows).toBeGreaterThan(0);
      expect([...aged.files.keys()].sort()).toEqual([...plain.files.keys()].sort());
      for (const [key, bytes] of plain.files) expect(Buffer.compare(aged.files.get(key) ?? Buffer.of(), bytes)).toBe(0);
      expect((await openArray(aged.files)).metadata.shape[0]).toBe(Math.ceil(at / WIDTH));
    }
  });
});
