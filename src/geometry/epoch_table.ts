import { assert } from "../base/assert.js";
import { product } from "../base/integers.js";
import type { ArrayGeometry } from "./array_geometry.js";
import { innerChunkGrid, innerChunksOfShard, innerShape, innerShardGrid } from "./chunk_grid.js";
import { dot, increment, strides } from "./mixed_radix.js";

/**
 * The chunks of one epoch in shard order: by inner shard (C order), then by position inside the shard (C order).
 * Encoders lay chunks down in this order, so that what goes to one shard is one run. The same for every epoch of an
 * array. Chunks that lie wholly outside the array are not listed.
 *
 * "Offsets" are in bytes inside an epoch slab: epochRows × rowElements elements in C order.
 */
export interface EpochTable {
  readonly rank: number;
  readonly chunksPerEpoch: number;
  readonly shardsPerRow: number;
  /** Index entries that one epoch has in a shard: entry = (epoch mod epochsPerShard) · this + innerPosition. */
  readonly entriesPerEpoch: number;
  /** Per chunk: offset of its first element. */
  readonly srcOffset: Float64Array;
  /**
   * `rank` values per chunk: valid elements per dimension. [0] is always epochRows; inner ones are clipped at the edge.
   */
  readonly extents: Uint32Array;
  /** Per chunk: inner shard, 0 … shardsPerRow − 1; never decreases. */
  readonly shard: Uint32Array;
  /**
   * Per chunk: position among its shard's entries of one epoch, in C order over shard/chunk of the inner dimensions.
   */
  readonly innerPosition: Uint32Array;
  /**
   * shardsPerRow + 1 values: chunks of inner shard s are shardStart[s] … shardStart[s + 1] − 1. Never an empty range.
   */
  readonly shardStart: Uint32Array;
  /** Strides of the epoch slab in bytes, slowest first; the last is itemBytes. */
  readonly srcStrides: Float64Array;
}

/** Bytes of the typed arrays of a table, for the memory plan. */
export function epochTableBytes(g: ArrayGeometry): number {
  const perChunk = 8 + 4 * g.rank + 4 + 4;
  return product([g.chunksPerEpoch, perChunk], "epoch table bytes") + 4 * (g.shardsPerRow + 1) + 8 * g.rank;
}

/** Builds the table; O(chunksPerEpoch · rank). */
export function epochTable(g: ArrayGeometry): EpochTable {
  const inner = innerShape(g);
  const chunkGrid = innerChunkGrid(g);
  const shardGrid = innerShardGrid(g);
  const chunksOfShard = innerChunksOfShard(g);
  const positionStrides = strides(chunksOfShard);
  const srcStrides = strides([g.epochRows, ...inner], g.itemBytes);
  const innerRank = g.rank - 1;

  const srcOffset = new Float64Array(g.chunksPerEpoch);
  const extents = new Uint32Array(g.chunksPerEpoch * g.rank);
  const shard = new Uint32Array(g.chunksPerEpoch);
  const innerPosition = new Uint32Array(g.chunksPerEpoch);
  const shardStart = new Uint32Array(g.shardsPerRow + 1);

  const shardAt = new Array<number>(innerRank).fill(0);
  let c = 0;
  let s = 0;
  do {
    shardStart[s] = c;
    // Only positions inside the array are walked: a shard may reach far past its edge.
    const filled = shardAt.map((at, i) => Math.min(chunksOfShard[i], chunkGrid[i] - at * chunksOfShard[i]));
    const at = new Array<number>(innerRank).fill(0);
    do {
      let offset = 0;
      extents[c * g.rank] = g.epochRows;
      for (let i = 0; i < innerRank; i++) {
        const first = (shardAt[i] * chunksOfShard[i] + at[i]) * g.chunk[i + 1];
        offset += first * srcStrides[i + 1];
        extents[c * g.rank + i + 1] = Math.min(g.chunk[i + 1], inner[i] - first);
      }
      srcOffset[c] = offset;
      shard[c] = s;
      innerPosition[c] = dot(at, positionStrides);
      c++;
    } while (increment(at, filled));
    s++;
  } while (increment(shardAt, shardGrid));
  shardStart[s] = c;
  assert(c === g.chunksPerEpoch && s === g.shardsPerRow, "epoch table lists every chunk once", { c, s });

  return Object.freeze({
    rank: g.rank,
    chunksPerEpoch: g.chunksPerEpoch,
    shardsPerRow: g.shardsPerRow,
    entriesPerEpoch: product(chunksOfShard),
    srcOffset,
    extents,
    shard,
    innerPosition,
    shardStart,
    srcStrides: Float64Array.from(srcStrides),
  });
}
