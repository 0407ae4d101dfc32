import type { ByteRange } from "./s3_api.js";

/** Ranges of objects, as they are asked for and as they come. */

export function rangeHeader(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/**
 * Where the object ends, if a suffix was asked for and other bytes came: some servers take bytes=-5 for bytes 0 to 5.
 */
export function endMissed(bytes: Uint8Array, contentRange: string | undefined): number | undefined {
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? "") ?? [];
  return total === undefined || Number(from) + bytes.byteLength === Number(total) ? undefined : Number(total);
}

/**
 * Some servers ignore a range, or are off by one in a suffix: what counts is where the bytes that came say they lie.
 */
export function exactly(range: ByteRange | undefined, bytes: Uint8Array, contentRange: string | undefined): Uint8Array {
  if (range === undefined) return bytes;
  const from = Number(/^bytes (\d+)-/.exec(contentRange ?? "")?.[1] ?? 0);
  const begin = "suffix" in range ? bytes.byteLength - range.suffix : range.offset - from;
  const end = "suffix" in range ? bytes.byteLength : begin + range.length;
  return bytes.subarray(Math.max(0, begin), Math.max(0, end));
}
