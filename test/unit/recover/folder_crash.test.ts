import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../../src/options.js";
import type { ArrayWriter } from "../../../src/writer/array_writer.js";
import {
  checkRecoveredFolder,
  crashFolder,
  expectContent,
  type Feed,
  type FolderStream,
  ROOT,
  rebooted,
  recoverOn,
  rowsOf,
  streamInto,
} from "../../helpers/folder_crashes.js";
import { RecordingFs } from "../../helpers/recording_fs.js";
import { feedOn, stretchesOf } from "../../helpers/resume_stream.js";
import { feedOperations, size, smallStream } from "../../helpers/small_streams.js";
import { spread, times } from "../../helpers/wide.js";

/** Four shards side by side with ragged edges, four rows deep. */
const array = (size: number | null = null, codec = "none"): ArrayOptions => ({
  dtype: "uint16",
  codec,
  fillValue: 9,
  dimensions: [
    { name: "t", size, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 2, shard: 4 },
  ],
});

/** Appends the first row count, skips the second, and so on; flushes after each. */
const rows = (...counts: readonly number[]) => feedOn(new Uint8Array(0), stretchesOf(...counts), 9, true);

const SCENES: readonly (readonly [string, FolderStream, Feed])[] = [
  ["whole rows of shards", { array: array(), batchEpochs: 1 }, rows(8)],
  ["several epochs a batch", { array: array(null, "blosc"), batchEpochs: 3 }, rows(14)],
  ["nothing published before the end", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(10)],
  ["an end inside an epoch", { array: array(null, "blosc"), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(9)],
  ["an end inside the last epoch of its row", { array: array(), batchEpochs: 1 }, rows(7)],
  ["a bounded array", { array: array(7, "blosc"), batchEpochs: 1 }, rows(7)],
  ["a bounded array that is closed early", { array: array(100), publishIntervalMs: 1e9 }, rows(5)],
  ["skipped epochs", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(2, 2, 3, 3, 1)],
  ["skipped rows of shards", { array: array(), batchEpochs: 1 }, rows(5, 9, 3)],
  ["skipped rows only", { array: array() }, rows(0, 6)],
  ["one handle, one slot", { array: array(), maxOpenFiles: 1, batchEpochs: 1, depth: 1 }, rows(6)],
  [
    "one dimension",
    {
      array: { dtype: "uint8", codec: "none", dimensions: [{ name: "t", size: null, chunk: 3, shard: 6 }] },
      batchEpochs: 1,
    },
    async (writer) => {
      const bytes = Uint8Array.from({ length: 16 }, (_, i) => i * 7 + 1);
      await writer.append(bytes);
      return bytes;
    },
  ],
];

const LEVELS: readonly Durability[] = ["none", "shard", "batch"];

describe.each(LEVELS)("a crash of the process at any call, durability %s, of a stream with", (durability) => {
  it.each(SCENES)("%s leaves a folder from which all that was committed is recovered", async (_, stream, feed) => {
    const crashed = await crashFolder({ ...stream, durability }, feed);
    expect(crashed.images.length).toBeGreaterThan(20);
    let savedInside = 0;
    for (const image of spread(crashed.images, 24)) {
      const fs = await checkRecoveredFolder(image, crashed).catch((cause) => {
        throw new Error(`crashed ${image.at}`, { cause });
      });
      if (rowsOf(fs) % 4 !== 0) savedInside++;
    }
    // Not only whole rows of shards.
    if (stream.array.dimensions.length > 1 && stream.depth === undefined && stream.batchEpochs === 1) {
      expect(savedInside).toBeGreaterThan(0);
    }
  });
});

describe.each(LEVELS)(
  "a crash of the process at any call, durability %s, of a stream that is resumed",
  (durability) => {
    it.each<[string, number, ArrayOptions, Feed]>([
      ["between epochs", 6, array(null, "blosc"), rows(5)],
      ["inside an epoch", 7, array(), rows(4)],
      ["inside the first epoch of a row of shards", 5, array(null, "blosc"), rows(6)],
      ["between rows of shards", 8, array(), rows(3)],
      ["behind skipped rows", 6, array(), rows(0, 4, 3)],
    ])(
      "%s, leaves a folder with no fewer rows than before, and all that was committed",
      async (_, first, options, feed) => {
        const fs = new RecordingFs();
        const stream: FolderStream = { array: options, durability, batchEpochs: 1 };
        const before = await streamInto(fs, stream, rows(first));
        fs.log.length = 0;
        const resumed = await crashFolder({ ...stream, mode: "resume" }, feed, fs);
        // The writer knows its own rows only: as it counts elements from its start, they begin anew.
        const crashed = { ...resumed, content: new Uint8Array(Buffer.concat([before.content, resumed.content])) };
        expect(resumed.images.length).toBeGreaterThan(20);
        for (const image of spread(resumed.images, 24)) {
          const recovered = await checkRecoveredFolder(image, crashed).catch((cause) => {
            throw new Error(`crashed ${image.at}`, { cause });
          });
          expect(rowsOf(recovered)).toBeGreaterThanOrEqual(first);
        }
      },
    );
  },
);

it("at durability batch rows are durable before their shards are sealed, in order and never fewer", async () => {
  const fs = new RecordingFs();
  const seen: number[] = [];
  let writer: ArrayWriter | undefined;
  fs.onOperation = () => {
    if (writer === undefined) return;
    const { accepted, encoded, delivered, durable, published } = writer.watermarks;
    expect([accepted, encoded, delivered, durable, published]).toEqual(
      [accepted, encoded, delivered, durable, published].sort((a, b) => b - a),
    );
    seen.push(durable);
  };
  await streamInto(fs, { array: array(), durability: "batch", batchEpochs: 1 }, rows(9), (opened) => {
    writer = opened;
  });
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(new Set(seen)).toEqual(new Set([0, 2, 4, 6, 8, 9]));
});

it.each<[string, FolderStream, Feed]>([
  ["several rows of shards", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(9)],
  ["skipped epochs", { array: array(), batchEpochs: 2 }, rows(2, 4, 3)],
])(
  "a recovery that is interrupted at any of its calls, and run again, ends as one that was not: %s",
  async (_, stream, feed) => {
    const { images } = await crashFolder(stream, feed);
    let interruptions = 0;
    const open = images.filter(({ fs }) => fs.files(ROOT).has(MARKER_KEY));
    // Even a wide run takes a part of them, or it takes minutes.
    for (const image of spread(
      open.filter((_, i) => i % 3 === 0),
      4,
    )) {
      const undisturbed = image.fs.copy();
      await recoverOn(undisturbed);
      const expected = undisturbed.content(ROOT);
      for (const when of ["before", "after"] as const) {
        for (let index = 1; index <= undisturbed.calls.length; index++) {
          const fs = image.fs.copy();
          fs[when] = (call) => {
            if (call.index >= index) throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
          };
          await recoverOn(fs).catch((error) => {
            expect(["STORE_READ_FAILED", "SINK_FAILED"]).toContain(error.code);
          });
          expect(rowsOf(fs)).toBeGreaterThanOrEqual(rowsOf(image.fs));
          const again = fs.copy();
          if (again.files(ROOT).has(MARKER_KEY)) await recoverOn(again);
          else await again.removeTree(`${ROOT}/.millrace`);
          expect(again.content(ROOT), `crashed ${image.at}, interrupted ${when} call ${index}`).toEqual(expected);
          interruptions++;
        }
      }
    }
    expect(interruptions).toBeGreaterThan(times(100, 1000));
  },
);

it("leaves the old store, nothing or the new store when an overwrite crashes, and always a way on", async () => {
  const old = new RecordingFs();
  const before = await crashFolder({ array: array(), batchEpochs: 1 }, rows(9), old);
  // Not closed: its marker and its journals must not outlive it.
  const unclosed = before.images.findLast(({ fs }) => fs.files(ROOT).has(MARKER_KEY))!.fs;
  const met = new Set<string>();
  for (const fs of [old.copy(), rebooted(unclosed.copy())]) {
    const first = fs.content(ROOT);
    const stream = await crashFolder({ array: array(), batchEpochs: 1, mode: "overwrite" }, rows(0, 3, 6), fs);
    for (const [i, image] of stream.images.entries()) {
      const files = image.fs.files(ROOT);
      if (image.fs.log.length === 0 && JSON.stringify(image.fs.content(ROOT)) === JSON.stringify(first)) {
        met.add("old");
      } else if (!files.has("zarr.json")) {
        const report = await recoverOn(image.fs.copy()).catch((error) => error);
        expect(["nothing-to-recover", "STORE_NOT_FOUND"]).toContain(report.status ?? report.code);
        met.add("half removed");
        if (i % 3 !== 0) continue;
        const again = rebooted(image.fs.copy());
        const { content } = await streamInto(again, { array: array(), mode: "overwrite" }, rows(5));
        await expectContent(again.files(ROOT), content);
      } else if (i % 8 === 0) {
        // As any other stream, which others look at more closely.
        await checkRecoveredFolder(image, stream);
        met.add("new");
      }
    }
  }
  expect([...met]).toEqual(["old", "half removed", "new"]);
});

/** Images of one random stream that are recovered: a few streams have thousands, of which each takes milliseconds. */
const IMAGES_MAX = 150;

it("recovers every durable row of any stream, wherever it crashes and whichever calls take effect first", async () => {
  const streams = fc.record({
    ...smallStream,
    durability: fc.constantFrom(...LEVELS),
    maxOpenFiles: size(4),
    /** Which image is the first of those that are recovered. */
    first: fc.nat({ max: 1000 }),
  });
  await fc.assert(
    fc.asyncProperty(streams, async ({ operations, first, ...options }) => {
      const crashed = await crashFolder(options, feedOperations(operations));
      const step = Math.ceil(crashed.images.length / IMAGES_MAX);
      for (let i = first % step; i < crashed.images.length; i += step) {
        const image = crashed.images[i];
        await checkRecoveredFolder(image, crashed).catch((cause) => {
          throw new Error(`crashed ${image.at}`, { cause });
        });
      }
    }),
    { numRuns: times(6, 25) },
  );
});
