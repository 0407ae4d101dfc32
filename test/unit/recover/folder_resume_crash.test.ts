import { describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../../src/options.js";
import { openArray } from "../../../src/store/array_reader.js";
import {
  type CrashedFolder,
  checkRecoveredFolder,
  crashFolder,
  expectContent,
  type FolderStream,
  ROOT,
  rowsOf,
  streamInto,
} from "../../helpers/folder_crashes.js";
import { RecordingFs } from "../../helpers/recording_fs.js";
import { differing, feedOn, type Stretch, stretchesOf } from "../../helpers/resume_stream.js";

/** A store in a folder that is resumed: what a crash leaves of it, and what becomes of that. */

const FILL = 9;
/** Two shards side by side, three epochs of two rows deep. */
const array = (size: number | null = null, codec = "none"): ArrayOptions => ({
  dtype: "uint16",
  codec,
  fillValue: FILL,
  dimensions: [
    { name: "t", size, chunk: 2, shard: 6 },
    { name: "y", size: 5, chunk: 2, shard: 4 },
    { name: "x", size: 3, chunk: 3 },
  ],
});

interface Base extends CrashedFolder {
  readonly fs: RecordingFs;
}

async function base(stretches: readonly Stretch[], stream: FolderStream): Promise<Base> {
  const fs = new RecordingFs();
  const closed = await streamInto(fs, stream, feedOn(new Uint8Array(0), stretches, FILL));
  return { ...closed, fs: fs.copy() };
}

function resumed(b: Pick<Base, "fs" | "content">, stretches: readonly Stretch[], stream: FolderStream) {
  return crashFolder({ ...stream, mode: "resume" }, feedOn(b.content, stretches, FILL), b.fs.copy());
}

const SCENES: readonly (readonly [string, number[], number[], FolderStream])[] = [
  ["on a row of shards", [12], [7], { array: array(), batchEpochs: 1 }],
  ["on an epoch", [10], [7], { array: array(null, "blosc"), batchEpochs: 1 }],
  ["inside a chunk", [9], [8], { array: array(), batchEpochs: 1 }],
  ["inside a chunk, several epochs a batch", [11], [10], { array: array(null, "blosc"), batchEpochs: 3 }],
  ["inside the first chunk of a row", [7], [4], { array: array(), batchEpochs: 1 }],
  ["inside a chunk, and ends in it", [8, 0, 1], [], { array: array() }],
  ["inside a chunk, and publishes nothing", [9], [10], { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }],
  ["behind skipped rows, with data", [6, 3], [9], { array: array(), batchEpochs: 1 }],
  ["inside a chunk, and skips the rest", [9], [0, 9], { array: array(), batchEpochs: 1 }],
  ["behind skipped rows only, and skips on", [0, 3], [0, 4, 2], { array: array(), batchEpochs: 1 }],
  ["inside a chunk, and passes all slots by", [9], [0, 33, 7], { array: array(), batchEpochs: 1 }],
  ["on a row of shards, and passes all slots by", [12], [0, 24, 7], { array: array(), batchEpochs: 1 }],
  ["in an array with an end", [9], [6], { array: array(15), batchEpochs: 1 }],
];

const LEVELS: readonly Durability[] = ["none", "shard", "batch"];

describe.each(LEVELS)("a stream at durability %s that is resumed", (durability) => {
  it.each(SCENES)("%s and crashes keeps every row that was there, and all that was committed", async (_, ...scene) => {
    const [first, second, about] = scene;
    const stream = { ...about, durability };
    const b = await base(stretchesOf(...first), stream);
    const crashed = await resumed(b, stretchesOf(...second), stream);
    expect(crashed.images.length).toBeGreaterThan(8);
    for (const image of crashed.images) {
      await (async () => {
        expect(rowsOf(image.fs)).toBeGreaterThanOrEqual(rowsOf(b.fs));
        const seen = (await (await openArray(image.fs.files(ROOT))).readRegion()).data;
        expect(Buffer.compare(seen, crashed.content.subarray(0, seen.byteLength)), "before recovery").toBe(0);
        await checkRecoveredFolder(image, crashed, true, true);
      })().catch((cause) => {
        throw new Error(`crashed ${image.at}`, { cause });
      });
    }
  });
});

it.each(SCENES)(
  "a stream that was resumed %s, crashed and was recovered, is resumed to the end",
  async (_, ...scene) => {
    const [first, second, stream] = scene;
    const b = await base(stretchesOf(...first), stream);
    const crashed = await resumed(b, stretchesOf(...second), stream);
    const all = [...stretchesOf(...first), ...stretchesOf(...second)];
    const whole = await base(all, stream);
    const onlyData = all.every(({ rows, skipped }) => rows === 0 || !skipped);
    const seen = new Set<string>();
    for (const image of crashed.images) {
      const fs = await checkRecoveredFolder(image, crashed, true, true);
      const found = JSON.stringify(fs.content(ROOT));
      if (seen.has(found)) continue;
      seen.add(found);
      const kept = rowsOf(fs);
      const content = crashed.content.subarray(0, kept * crashed.rowBytes);
      const left = (crashed.content.length - content.length) / crashed.rowBytes;
      // As it was to be, and then with data where it skipped: nothing of what the crash left may shine through.
      const again = (await resumed({ fs, content }, stretchesOf(left), stream)).images.at(-1)!.fs.files(ROOT);
      expect(again.has(MARKER_KEY)).toBe(false);
      const other = await resumed(
        { fs, content },
        stretchesOf(Math.floor(left / 3), left - Math.floor(left / 3)),
        stream,
      );
      await expectContent(other.images.at(-1)!.fs.files(ROOT), other.content);
      if (onlyData) expect(differing(again, whole.fs.files(ROOT)), `crashed ${image.at}`).toEqual([]);
    }
  },
);
