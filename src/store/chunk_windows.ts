import type { ShardIndex } from "../zarr/shard_index.js";
import { GAP_BYTES, WINDOW_BYTES } from "./read_windows.js";

/** One read: neighbouring chunks of an object. Plain numbers in flat arrays: a shard may have millions of chunks. */
export interface ChunkSpan {
  readonly offset: number;
  readonly nbytes: number;
  readonly chunks: Uint32Array;
  /** Where each begins, from `offset`. */
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
}

/** A window is one piece of work, and its decoded bytes are what a thread is busy with before it looks up. */
const DECODED_BYTES_MAX = 32 * 2 ** 20;
const CHUNKS_MAX = 4096;

/**
 * Joins chunks to reads of a few megabytes; a larger chunk is read alone.
 * @param order good chunks by offset, without overlaps, none longer than 2^32 − 1
 */
export function* chunkSpans(index: ShardIndex, order: Uint32Array, chunkBytes: number): Generator<ChunkSpan> {
  const most = Math.max(1, Math.min(CHUNKS_MAX, Math.floor(DECODED_BYTES_MAX / chunkBytes)));
  for (let from = 0; from < order.length; ) {
    const { offset, nbytes } = index.get(order[from])!;
    let end = offset + nbytes;
    let to = from + 1;
    for (; to < order.length && to - from < most; to++) {
      const next = index.get(order[to])!;
      const nextEnd = next.offset + next.nbytes;
      if (next.offset - end > GAP_BYTES || nextEnd - offset > WINDOW_BYTES) break;
      end = nextEnd;
    }
    const chunks = order.slice(from, to);
    const starts = new Uint32Array(chunks.length);
    const lengths = new Uint32Array(chunks.length);
    for (const [i, chunk] of chunks.entries()) {
      const range = index.get(chunk)!;
      starts[i] = range.offset - offset;
      lengths[i] = range.nbytes;
    }
    yield { offset, nbytes: end - offset, chunks, starts, lengths };
    from = to;
  }
}

/** The one chunk of an object without an index. */
export function wholeObject(size: number): ChunkSpan {
  return {
    offset: 0,
    nbytes: size,
    chunks: Uint32Array.of(0),
    starts: Uint32Array.of(0),
    lengths: Uint32Array.of(size),
  };
}
