import {
  type ArrayWriter,
  isMillraceError,
  type MillraceError,
  openArray,
  openWriter,
  type Watermarks,
} from "../../src/index.js";
import { type S3SinkOptions, s3Sink } from "../../src/sinks/s3_spec.js";
import type { TestBucket } from "./s3_client.js";
import type { S3Server } from "./s3_server.js";
import { elementBytes } from "./stream_model.js";

/** Frames of 2 MiB; a shard of four is two parts of 5 MiB at most; the last two frames make a shard of one request. */
export const FRAME_BYTES = 2 ** 21;
export const FRAMES_PER_SHARD = 4;
export const FRAMES = 10;
export const PART_BYTES = 5 * 2 ** 20;

export const ARRAY = {
  dtype: "uint8",
  codec: { name: "none" },
  dimensions: [
    { name: "t", size: null, chunk: 1, shard: FRAMES_PER_SHARD },
    { name: "y", size: 1024, chunk: 1024 },
    { name: "x", size: 2048, chunk: 2048 },
  ],
} as const;

/** What every frame must read as. */
export function frameBytes(frame: number): Uint8Array {
  frames[frame] ??= elementBytes(frame * FRAME_BYTES, FRAME_BYTES, 1);
  return frames[frame];
}
const frames: Uint8Array[] = [];

export interface StreamEnd {
  /** The first error of the writer; undefined: it closed without one. */
  readonly error: MillraceError | undefined;
  readonly watermarks: Watermarks;
}

/** An impatient place on a server, or on a proxy before it. */
export function placeOn(server: S3Server, prefix: string, endpoint = server.endpoint): S3SinkOptions {
  return {
    bucket: server.bucket,
    prefix,
    endpoint,
    region: server.region,
    credentials: server.credentials,
    partBytes: PART_BYTES,
    concurrency: 3,
    maxAttempts: 3,
    connectTimeoutMs: 3_000,
    idleTimeoutMs: 1_500,
  };
}

/**
 * Streams all frames and closes; after a failure too, as an application would. `onFrame` is called before each frame.
 */
export async function streamFrames(
  place: S3SinkOptions,
  onFrame: (frame: number, writer: ArrayWriter) => Promise<void> | void = () => {},
): Promise<StreamEnd> {
  const writer = await openWriter({
    sink: s3Sink(place),
    array: ARRAY,
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
  });
  let error: MillraceError | undefined;
  const keep = (failure: unknown) => {
    if (!isMillraceError(failure)) throw failure;
    error ??= failure;
  };
  try {
    for (let frame = 0; frame < FRAMES && error === undefined; frame++) {
      await onFrame(frame, writer);
      await writer.append(frameBytes(frame));
    }
  } catch (failure) {
    keep(failure);
  }
  await writer.close().catch(keep);
  return { error, watermarks: writer.watermarks };
}

/** What a reader finds: the published rows, every value of them compared. Throws when anything is missing or wrong. */
export async function readBack(bucket: TestBucket, prefix: string): Promise<number> {
  const files = new Map<string, Uint8Array>();
  for (const key of await bucket.keys(`${prefix}/`)) {
    files.set(key.slice(prefix.length + 1), (await bucket.get(key)) as Uint8Array);
  }
  const array = await openArray(files);
  const [rows] = array.metadata.shape;
  for (let shard = 0; shard * FRAMES_PER_SHARD < rows; shard++) {
    if (!files.has(`c/${shard}/0/0`)) throw new Error(`${rows} rows are published, but shard ${shard} is missing`);
  }
  for (let frame = 0; frame < rows; frame++) {
    const { data } = await array.readRegion([frame, 0, 0], [frame + 1, 1024, 2048]);
    if (Buffer.compare(data, frameBytes(frame)) !== 0) throw new Error(`frame ${frame} differs`);
  }
  return rows;
}
