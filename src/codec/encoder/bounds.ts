import { ceilDiv } from "../../base/integers.js";

/** Most content of a zstd block, bytes; docs/encoder.md §1. */
export const BLOCK_BYTES_MAX = 32768;
/** Largest chunk: Blosc1's limit. */
export const CHUNK_BYTES_MAX = 2 ** 31 - 1 - 16;
/** Content up to which a frame is a single segment; §2. */
export const SINGLE_SEGMENT_MAX = 8 * 1024 * 1024;

/** Most bytes of an encoded chunk, codec blosc; §9. */
export function bloscBound(chunkBytes: number): number {
  return chunkBytes + 16;
}

/** Most bytes of an encoded chunk, codec zstd; §9. */
export function zstdBound(chunkBytes: number): number {
  return chunkBytes + 10 + 3 * ceilDiv(chunkBytes, BLOCK_BYTES_MAX);
}
