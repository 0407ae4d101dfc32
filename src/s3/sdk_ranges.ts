import type { ByteRange } from "./s3_api.js";

/** Ranges of objects, as they are asked for and as they come. */

export function rangeHeader({ offset, length }: ByteRange): string {
  return `bytes=${offset}-${offset + length - 1}`;
}

/** Some servers ignore a range: what counts is where the bytes that came say they lie. */
export function exactly(range: ByteRange | undefined, bytes: Uint8Array, contentRange: string | undefined): Uint8Array {
  if (range === undefined) return bytes;
  const from = Number(/^bytes (\d+)-/.exec(contentRange ?? "")?.[1] ?? 0);
  const begin = range.offset - from;
  return bytes.subarray(Math.max(0, begin), Math.max(0, begin + range.length));
}
