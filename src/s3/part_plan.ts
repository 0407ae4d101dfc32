import { MillraceError } from "../base/errors.js";
import { alignUp, ceilDiv } from "../base/integers.js";

const MIB = 2 ** 20;
/** The server's own bound for every part but the last (S3 user guide, "Amazon S3 multipart upload limits"). */
export const PART_BYTES_MIN = 5 * MIB;
export const PART_BYTES_MAX = 5 * 2 ** 30;
export const PARTS_MAX = 10_000;
/** AWS raised it for itself; the others keep it. */
export const OBJECT_BYTES_MAX = 5 * 2 ** 40;

/** Smaller parts cost more requests than they save memory. */
const PART_BYTES_DEFAULT = 8 * MIB;
/** What a part size is chosen for: some room below PARTS_MAX. */
const PARTS_WANTED = 9_000;

/**
 * Bytes of a part for shards of at most `shardBytesMax` bytes. Every shard must fit into {@link PARTS_MAX} parts,
 * whatever its data compresses to, because a part size cannot change once the first part is on its way.
 *
 * @param asked what the caller wants; undefined: 8 MiB, or more where shards are larger than 70 GiB.
 * @throws MillraceError INVALID_OPTION with the numbers when no part size does it.
 */
export function planParts(shardBytesMax: number, asked?: number): number {
  const context = { option: "array.dimensions", shardBytesMax, objectBytesMax: OBJECT_BYTES_MAX, partsMax: PARTS_MAX };
  if (shardBytesMax > OBJECT_BYTES_MAX) {
    throw new MillraceError(
      "INVALID_OPTION",
      `a shard may need ${shardBytesMax} bytes, an S3 object has ${OBJECT_BYTES_MAX} at most.`,
      { context, hint: "Make shards smaller." },
    );
  }
  if (asked === undefined) return Math.max(PART_BYTES_DEFAULT, alignUp(ceilDiv(shardBytesMax, PARTS_WANTED), MIB));
  const parts = ceilDiv(shardBytesMax, asked);
  if (parts <= PARTS_MAX) return asked;
  throw new MillraceError(
    "INVALID_OPTION",
    `a shard may need ${shardBytesMax} bytes, which are ${parts} parts of ${asked}; S3 takes ${PARTS_MAX} at most.`,
    {
      context: { ...context, option: "partBytes", partBytes: asked, parts },
      hint: `Leave partBytes out, or make it ${ceilDiv(shardBytesMax, PARTS_MAX)} or more, or make shards smaller.`,
    },
  );
}

/**
 * Host memory of a sink that sends parts: one that fills for each open shard, and those on their way. A shard that fits
 * into one part takes no more than its own bound.
 */
export function partMemoryBytes(
  openShards: number,
  shardBytesMax: number,
  partBytes: number,
  concurrency: number,
): number {
  return (openShards + concurrency) * Math.min(partBytes, shardBytesMax);
}
