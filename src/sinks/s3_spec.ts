import type { SinkSpec } from "../handoff/sink.js";
import { PART_BYTES_MAX, PART_BYTES_MIN, partMemoryBytes, planParts } from "../s3/part_plan.js";
import { checkS3Options, invalidS3Option, type S3Options, s3Location } from "../s3/s3_options.js";

/** Parts on their way at once: enough to fill 10 Gbit/s to a server nearby; far ones want more. */
const CONCURRENCY_DEFAULT = 8;
const CONCURRENCY_MAX = 256;
/** The SDK with its connections, measured as growth of resident memory on Node 20. */
const CLIENT_BYTES = 24 * 2 ** 20;

/** What {@link s3Sink} takes. Only `bucket` is required. */
export interface S3SinkOptions extends S3Options {
  /**
   * Bytes of a part, from 5 MiB. Default: 8 MiB, or more where a shard would not fit into 10,000 parts. Every open
   * shard holds one in memory.
   */
  readonly partBytes?: number;
  /** Parts on their way at once, each with its memory and a connection: 1 … 256. Default 8. Far servers want more. */
  readonly concurrency?: number;
}

/**
 * A store in a bucket of S3 or of a server that speaks its protocol. Needs the package `@aws-sdk/client-s3`. Every
 * shard is one object, uploaded in parts while it fills and visible once it is whole; see docs/s3.md.
 *
 * Credentials are found by the SDK on the delivery worker, and renewed there; nothing is asked of the server before the
 * writer opens.
 * @throws MillraceError INVALID_OPTION
 */
export function s3Sink(options: S3SinkOptions): SinkSpec {
  const place = checkS3Options("s3Sink", options, ["partBytes", "concurrency"]);
  const { partBytes, concurrency = CONCURRENCY_DEFAULT } = options;
  if (
    partBytes !== undefined &&
    !(Number.isSafeInteger(partBytes) && partBytes >= PART_BYTES_MIN && partBytes <= PART_BYTES_MAX)
  ) {
    throw invalidS3Option(
      "s3Sink",
      "partBytes",
      `a whole number from ${PART_BYTES_MIN} to ${PART_BYTES_MAX}`,
      partBytes,
    );
  }
  if (!(Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= CONCURRENCY_MAX)) {
    throw invalidS3Option("s3Sink", "concurrency", `a whole number from 1 to ${CONCURRENCY_MAX}`, concurrency);
  }
  return {
    kind: "s3",
    location: s3Location(place),
    options: { place, partBytes, concurrency },
    journal: false,
    memoryBytes: (openShards, shardBytesMax) =>
      CLIENT_BYTES + partMemoryBytes(openShards, shardBytesMax, planParts(shardBytesMax, partBytes), concurrency),
  };
}
