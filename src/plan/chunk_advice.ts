import { ceilDiv } from "../base/integers.js";

/** A dimension as the choice of chunks sees it. */
export interface WeightedDimension {
  readonly size: number | null;
  /**
   * −1: the chunk spans the dimension; 0: the chunk is one element; above 0: share relative to the other dimensions.
   */
  readonly weight: number;
  /** Only with weight 0: the chunk takes up to so many elements of it after all, once no other dimension grows. */
  readonly restMax?: number;
}

/**
 * A chunk shape of at most `elementsMax` elements, or undefined when the pinned dimensions alone hold more.
 *
 * Doubles the dimension that is shortest for its weight, the fastest one first, while the chunk stays inside; a
 * dimension that reaches its size stops there. What is left goes to those with a `restMax`. Then each is evened out:
 * 520 elements in chunks of 256 would be three chunks with the last nearly empty, and become three of 174.
 */
export function chooseChunk(dimensions: readonly WeightedDimension[], elementsMax: number): number[] | undefined {
  const chunk = dimensions.map(({ size, weight }) => (weight === -1 && size !== null ? size : 1));
  let elements = 1;
  for (const n of chunk) elements *= n;
  if (elements > elementsMax) return undefined;
  for (;;) {
    let best = -1;
    for (let d = dimensions.length - 1; d >= 0; d--) {
      const { size, weight } = dimensions[d];
      if (weight <= 0 || chunk[d] === size || (elements / chunk[d]) * grown(chunk[d], size) > elementsMax) continue;
      if (best < 0 || chunk[d] * dimensions[best].weight < chunk[best] * weight) best = d;
    }
    if (best < 0) break;
    const next = grown(chunk[best], dimensions[best].size);
    elements = (elements / chunk[best]) * next;
    chunk[best] = next;
  }
  for (const [d, { size, restMax = 1 }] of dimensions.entries()) {
    for (;;) {
      const next = Math.min(grown(chunk[d], size), restMax);
      if (next <= chunk[d] || (elements / chunk[d]) * next > elementsMax) break;
      elements = (elements / chunk[d]) * next;
      chunk[d] = next;
    }
  }
  return chunk.map((n, d) => {
    const { size } = dimensions[d];
    return size === null ? n : ceilDiv(size, ceilDiv(size, n));
  });
}

function grown(n: number, size: number | null): number {
  return size === null ? 2 * n : Math.min(2 * n, size);
}

/** What bounds a shard. */
interface ShardBounds {
  /** Raw bytes to aim at; passed only where less is impossible. */
  readonly bytesTarget: number;
  readonly chunksMax: number;
  /** Shards side by side, at most. */
  readonly perRowMax: number;
}

/**
 * Chunks per inner dimension of a shard: the fewest shards side by side that keep to the bounds with one epoch in each.
 * Splits the slowest inner dimension first, so that a shard stays whole along the fast ones.
 */
export function chooseInnerShard(chunkGrid: readonly number[], chunkBytes: number, bounds: ShardBounds): number[] {
  const allowed = Math.min(bounds.chunksMax, Math.floor(bounds.bytesTarget / chunkBytes));
  const span = [...chunkGrid];
  let chunks = span.reduce((a, b) => a * b, 1);
  let perRow = 1;
  for (let d = 0; d < span.length && chunks > allowed; d++) {
    const others = chunks / span[d];
    const fitting = Math.max(1, Math.floor(allowed / others));
    const parts = Math.min(ceilDiv(chunkGrid[d], fitting), Math.max(1, Math.floor(bounds.perRowMax / perRow)));
    span[d] = ceilDiv(chunkGrid[d], parts);
    perRow *= ceilDiv(chunkGrid[d], span[d]);
    chunks = others * span[d];
  }
  return span;
}
