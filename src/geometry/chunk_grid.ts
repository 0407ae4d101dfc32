import { assert } from "../base/assert.js";
import { ceilDiv, exactDiv, product } from "../base/integers.js";
import type { ArrayGeometry } from "./array_geometry.js";
import { unravel } from "./mixed_radix.js";

/**
 * "Inner" = dimensions 1 … rank−1, so every result here has rank − 1 entries. A rank-1 array has one inner chunk: [].
 */

/** Elements per inner dimension. */
export function innerShape(g: ArrayGeometry): number[] {
  return g.shape.slice(1).map((size) => {
    assert(size !== null, "only dimension 0 is unbounded");
    return size;
  });
}

/** Chunks per inner dimension, a clipped last one included. */
export function innerChunkGrid(g: ArrayGeometry): number[] {
  return innerShape(g).map((size, i) => ceilDiv(size, g.chunk[i + 1]));
}

/** Shards per inner dimension, a clipped last one included. */
export function innerShardGrid(g: ArrayGeometry): number[] {
  return innerShape(g).map((size, i) => ceilDiv(size, g.shard[i + 1]));
}

/** Chunks per inner dimension of one shard, also where the shard reaches past the array's edge. */
export function innerChunksOfShard(g: ArrayGeometry): number[] {
  return g.shard.slice(1).map((shard, i) => exactDiv(shard, g.chunk[i + 1]));
}

/** Index entries that one epoch has in a shard. */
export function indexEntriesPerEpoch(g: ArrayGeometry): number {
  return product(innerChunksOfShard(g), "chunks per shard and epoch");
}

/** Coordinates in a shard's key: the shard row, then the inner shard's coordinates. */
export function shardKeyCoordinates(g: ArrayGeometry, shardRow: number, innerShard: number): number[] {
  return [shardRow, ...unravel(innerShard, innerShardGrid(g))];
}

/** Epochs that `rows` rows reach into. */
export function epochsFor(g: ArrayGeometry, rows: number): number {
  return ceilDiv(rows, g.epochRows);
}

/** Shard rows that `rows` rows reach into. */
export function shardRowsFor(g: ArrayGeometry, rows: number): number {
  return ceilDiv(rows, g.shard[0]);
}
