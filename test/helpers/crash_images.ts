import { expect } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import type { OpenMode } from "../../src/handoff/sink.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions } from "../../src/options.js";
import { recoverS3 } from "../../src/recover/s3_recovery.js";
import { S3Sink } from "../../src/sinks/s3.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { FakeS3, type S3Call } from "./fake_s3.js";
import { inlineSpec } from "./map_sink.js";
import { expectVerified } from "./verified.js";

/** A bucket as a crash at one moment would have left it, and what the writer had promised by then. */
export interface CrashImage {
  /** The moment, for messages. */
  readonly at: string;
  readonly s3: FakeS3;
  readonly durable: number;
}

export interface CrashedStream {
  readonly images: readonly CrashImage[];
  /** What the whole array would hold: rows that were accepted, as bytes. */
  readonly content: Uint8Array;
  readonly rowBytes: number;
}

export interface CrashOptions {
  readonly array: ArrayOptions;
  readonly publishIntervalMs?: number;
  readonly batchEpochs?: number;
  readonly depth?: number;
  readonly concurrency?: number;
  readonly partBytes?: number;
  readonly mode?: OpenMode;
  /** The bucket before; it is changed. Default: an empty one. */
  readonly s3?: FakeS3;
  /** Waits before a call takes effect. */
  readonly delay?: (call: S3Call) => Promise<void> | void;
}

/** The objects of a bucket, as a store to read. */
export function storeOf(s3: FakeS3): Map<string, Uint8Array> {
  return new Map(s3.keys().map((key) => [key, s3.bytes(key)!]));
}

function openOn(s3: FakeS3, options: CrashOptions): Promise<ArrayWriter> {
  const { array, mode, partBytes = 100, concurrency = 3, publishIntervalMs = 0, batchEpochs, depth } = options;
  s3.partBytesMin = partBytes;
  const sink = inlineSpec(new S3Sink({ api: s3, partBytes, concurrency }));
  return openWriter({ sink, threads: "inline", backend: "cpu", array, mode, publishIntervalMs, batchEpochs, depth });
}

/**
 * Streams into a bucket, and keeps an image of it from before and after every call. `feed` returns the content so far.
 */
export async function crashImages(
  options: CrashOptions,
  feed: (writer: ArrayWriter) => Promise<Uint8Array>,
): Promise<CrashedStream> {
  const { s3 = new FakeS3(), delay } = options;
  const images: CrashImage[] = [];
  let writer: ArrayWriter | undefined;
  const keep =
    (when: string) =>
    ({ method, key, index }: S3Call) => {
      images.push({
        at: `${when} call ${index}, ${method} ${key}`,
        s3: s3.copy(),
        durable: writer?.watermarks.durable ?? (options.mode === "resume" ? rowsOf(s3) : 0),
      });
    };
  s3.before = async (call) => {
    keep("before")(call);
    await delay?.(call);
  };
  s3.after = keep("after");
  writer = await openOn(s3, options);
  const content = await feed(writer);
  await writer.close().catch((error: unknown) => {
    // The part of a row that is left is not stored; all else is.
    if (!isMillraceError(error, "INCOMPLETE_ROW")) throw error;
  });
  return { images, content, rowBytes: writer.geometry.rowBytes };
}

/**
 * Streams into a bucket of which calls fail, and keeps what is left in the end, when the writer has given up or has got
 * over it.
 */
export async function failedStream(
  options: CrashOptions,
  feed: (writer: ArrayWriter) => Promise<Uint8Array>,
  fail: (s3: FakeS3) => void,
): Promise<CrashImage> {
  const s3 = options.s3?.copy() ?? new FakeS3();
  fail(s3);
  let writer: ArrayWriter | undefined;
  try {
    writer = await openOn(s3, options);
    await feed(writer);
    await writer.close();
  } catch (error) {
    if (!isMillraceError(error, "S3_UNREACHABLE")) throw error;
    await writer?.abort();
  }
  return { at: "in the end", s3: s3.copy(), durable: writer?.watermarks.durable ?? 0 };
}

/**
 * Recovers a copy of the image and checks everything that recovery promises. Returns the recovered bucket.
 * @param resumed the stream went on in a row of shards that was there: some of them may hold more than what is
 * published.
 */
export async function checkRecovered(image: CrashImage, stream: CrashedStream, resumed = false): Promise<FakeS3> {
  const s3 = image.s3.copy();
  const hadMarker = s3.objects.has(MARKER_KEY);
  const hadStore = s3.objects.has("zarr.json");
  const before = rowsOf(s3);
  if (!hadMarker && !hadStore) {
    await expect(recoverS3(s3)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    return s3;
  }
  const dry = await recoverS3(s3, { dryRun: true });
  expect(s3.keys()).toEqual(image.s3.keys());
  expect(s3.uploads.size).toBe(image.s3.uploads.size);
  const report = await recoverS3(s3);
  expect({ ...dry, dryRun: false }).toEqual(report);
  expect(s3.uploads.size, "uploads left").toBe(0);
  expect(s3.objects.has(MARKER_KEY)).toBe(false);
  if (!hadStore) {
    expect(report.status).toBe("nothing-to-recover");
    expect(image.durable).toBe(0);
    expect(s3.keys()).toEqual([]);
    return s3;
  }
  expect(report.status).toBe(hadMarker ? "recovered" : "clean");
  expect(report.notes).toEqual([]);
  const rows = rowsOf(s3);
  if (hadMarker) {
    expect(report.arrays).toMatchObject([{ path: "", rowsBefore: before, rowsAfter: rows, damage: undefined }]);
    const shards = s3.keys().filter((key) => key.startsWith("c/")).length;
    expect(report.arrays[0].shardsKept).toBe(shards);
    expect(report.objectsRemoved).toBe(report.arrays[0].shardsRemoved + 1);
    expect(report.uploadsAborted).toBe(image.s3.uploads.size);
  }
  expect(rows).toBeGreaterThanOrEqual(Math.max(before, image.durable));
  expect(rows * stream.rowBytes).toBeLessThanOrEqual(stream.content.length);

  const store = storeOf(s3);
  await expectVerified(store, resumed);
  const array = await openArray(store);
  const { shape } = array.metadata;
  const read = await array.readRegion(
    shape.map(() => 0),
    shape,
  );
  const expected = stream.content.subarray(0, rows * stream.rowBytes);
  expect(Buffer.compare(read.data, expected), "recovered values").toBe(0);
  return s3;
}

/** Published length of the root array; 0 where there is none. */
export function rowsOf(s3: FakeS3): number {
  const bytes = s3.bytes("zarr.json");
  return bytes === undefined ? 0 : JSON.parse(Buffer.from(bytes).toString()).shape[0];
}

/** Everything in a bucket that a later run could see, without what differs from run to run. */
export function contentOf(s3: FakeS3): unknown {
  return {
    objects: [...storeOf(s3)].map(([key, bytes]) => [key, Buffer.from(bytes).toString("base64")]),
    uploads: s3.uploads.size,
  };
}
