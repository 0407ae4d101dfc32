import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions } from "../../../src/options.js";
import { recoverS3 } from "../../../src/recover/s3_recovery.js";
import type { ArrayWriter } from "../../../src/writer/array_writer.js";
import {
  type CrashedStream,
  type CrashImage,
  type CrashOptions,
  checkRecovered,
  contentOf,
  crashImages,
  failedStream,
  rowsOf,
} from "../../helpers/crash_images.js";
import { FakeS3, s3Failure } from "../../helpers/fake_s3.js";
import { feedOn, stretchesOf } from "../../helpers/resume_stream.js";
import { feedOperations, size, smallStream } from "../../helpers/small_streams.js";
import { spread, spreadCalls, times } from "../../helpers/wide.js";

/** Two shards side by side, four rows deep. */
const array = (size: number | null = null): ArrayOptions => ({
  dtype: "uint16",
  codec: "none",
  fillValue: 9,
  dimensions: [
    { name: "t", size, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 5 },
  ],
});

/** Appends the first row count, skips the second, and so on. */
const rows = (...counts: readonly number[]) => feedOn(new Uint8Array(0), stretchesOf(...counts), 9);

const SCENES: readonly (readonly [string, CrashOptions, (writer: ArrayWriter) => Promise<Uint8Array>])[] = [
  ["whole rows of shards", { array: array() }, rows(12)],
  ["nothing published before the end", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(16)],
  ["an end inside an epoch", { array: array(), publishIntervalMs: 1e9 }, rows(9)],
  ["an end between epochs", { array: array() }, rows(10)],
  ["an end inside the last epoch of its row", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(11)],
  ["a bounded array", { array: array(7), batchEpochs: 1 }, rows(7)],
  ["a bounded array that is closed early", { array: array(100), publishIntervalMs: 1e9 }, rows(5)],
  ["skipped rows of shards", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(5, 9, 6)],
  [
    "rows of shards that pass all slots by",
    { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 },
    rows(5, 25, 6, 8, 1, 22),
  ],
  ["rows of shards that pass all slots by, up to an end", { array: array(30), batchEpochs: 1 }, rows(4, 26)],
  ["skipped rows at the end", { array: array(), publishIntervalMs: 1e9 }, rows(4, 7)],
  ["skipped rows only", { array: array() }, rows(0, 6)],
  ["parts one after the other", { array: array(), concurrency: 1, batchEpochs: 1, depth: 1 }, rows(11)],
  ["shards of one part", { array: array(), partBytes: 5000 }, rows(11)],
];

async function checkAll(stream: CrashedStream): Promise<void> {
  for (const image of stream.images) {
    await checkRecovered(image, stream).catch((cause) => {
      throw new Error(`crashed ${image.at}`, { cause });
    });
  }
}

describe.each(SCENES)("a crash at any call of a stream with %s", (_, options, feed) => {
  it("leaves a store from which every durable row is recovered", async () => {
    const stream = await crashImages(options, feed);
    expect(stream.images.length).toBeGreaterThan(10);
    await checkAll(stream);
  });
});

it.each([
  ["whole rows of shards", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(12)],
  ["skipped rows", { array: array(), batchEpochs: 1 }, rows(5, 4, 2)],
  ["an end inside an epoch", { array: array(), publishIntervalMs: 1e9, partBytes: 5000 }, rows(9)],
] as const)(
  "a failure at any call of a stream with %s leaves a store from which every durable row is recovered",
  async (_, options, feed) => {
    const stream = await crashImages(options, feed);
    const ends = new Set<string>();
    for (const when of ["before", "after"] as const) {
      for (const isHit of [(index: number, at: number) => index === at, (index: number, at: number) => index >= at]) {
        for (const at of spreadCalls(stream.images.length / 2, 12)) {
          const image = await failedStream(options, feed, (s3) => {
            s3[when] = (call) => {
              if (isHit(call.index, at)) throw s3Failure("S3_UNREACHABLE", call);
            };
          });
          await checkRecovered(image, stream).catch((cause) => {
            throw new Error(`failed ${when} call ${at}`, { cause });
          });
          ends.add(image.s3.objects.has(MARKER_KEY) ? "with a marker" : "without one");
        }
      }
    }
    expect(ends.size).toBe(2);
  },
);

/**
 * Recovers a copy of the bucket, but for the call with that number, which fails: before it has done anything, or after.
 */
async function interrupted(image: CrashImage, index: number, when: "before" | "after"): Promise<FakeS3> {
  const s3 = image.s3.copy();
  s3[when] = (call) => {
    if (call.index >= index) throw s3Failure("S3_UNREACHABLE", call);
  };
  await recoverS3(s3).catch((error) => expect(error).toMatchObject({ code: "S3_UNREACHABLE" }));
  return s3.copy();
}

it.each([
  ["several rows to publish, one to remove", { array: array(), publishIntervalMs: 1e9, batchEpochs: 1 }, rows(16)],
  ["an announced end", { array: array(), batchEpochs: 1 }, rows(7)],
] as const)(
  "a recovery that is interrupted at any call, and run again, ends as one that was not: %s",
  async (_, options, feed) => {
    const stream = await crashImages(options, feed);
    let interruptions = 0;
    const open = stream.images.filter(({ s3 }) => s3.objects.has(MARKER_KEY));
    for (const image of spread(open, 12)) {
      const undisturbed = image.s3.copy();
      await recoverS3(undisturbed);
      for (const when of ["before", "after"] as const) {
        for (let index = 1; index <= undisturbed.calls.length; index++) {
          const s3 = await interrupted(image, index, when);
          interruptions++;
          // Gone with the marker: there may be no store at all, or one that is clean.
          if (s3.objects.has(MARKER_KEY)) await recoverS3(s3);
          expect(contentOf(s3), `crashed ${image.at}, interrupted ${when} call ${index}`).toEqual(
            contentOf(undisturbed),
          );
        }
      }
    }
    expect(interruptions).toBeGreaterThan(times(100, 500));
  },
);

it("leaves the old store, nothing or the new store when an overwrite crashes, and always a way on", async () => {
  const s3 = new FakeS3();
  await crashImages({ array: array(), s3 }, rows(9));
  await s3.createUpload("c/1/0/0", {});
  const old = contentOf(s3);
  s3.calls.length = 0;
  const stream = await crashImages({ array: array(), s3: s3.copy(), mode: "overwrite" }, rows(0, 3, 10));
  const met = new Set<string>();
  for (const image of stream.images) {
    const hasMarker = image.s3.objects.has(MARKER_KEY);
    const shards = image.s3.keys().filter((key) => key.startsWith("c/")).length;
    if (!hasMarker && shards > 0 && image.durable === 0) {
      // Not begun.
      expect(contentOf(image.s3)).toEqual(old);
      met.add("old");
    } else if (hasMarker && rowsOf(image.s3) === 9) {
      // Nothing was removed yet: the old store is as it was, without its left-over upload.
      expect(await recoverS3(image.s3)).toMatchObject({
        status: "recovered",
        arrays: [{ rowsAfter: 9 }],
        uploadsAborted: 1,
      });
      expect(contentOf(image.s3)).toEqual({ ...(old as object), uploads: 0 });
      met.add("still old");
    } else if (image.s3.bytes("zarr.json") === undefined && shards > 0) {
      expect(await recoverS3(image.s3)).toMatchObject({ status: "nothing-to-recover", objectsRemoved: 0 });
      const again = await crashImages({ array: array(), s3: image.s3.copy(), mode: "overwrite" }, rows(5));
      await checkRecovered(again.images[again.images.length - 1], again);
      met.add("half removed");
    } else {
      await checkRecovered(image, stream);
      met.add("new");
    }
  }
  expect([...met]).toEqual(["old", "still old", "half removed", "new"]);
});

it("recovers every durable row of any stream, wherever it crashes and in whichever order requests arrive", async () => {
  await fc.assert(
    fc.asyncProperty(fc.record({ ...smallStream, concurrency: size(4) }), async ({ operations, ...options }) => {
      await checkAll(await crashImages(options, feedOperations(operations)));
    }),
    { numRuns: times(8, 40) },
  );
});
