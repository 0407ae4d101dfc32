import type { DType } from "./dtype.js";

/** One dimension as the user gives it. Sizes in elements. */
export interface DimensionOptions {
  /** Zarr `dimension_names` entry; unique, not empty. */
  readonly name: string;
  /** What the axis means (OME-NGFF axis type). Default: "other". */
  readonly type?: "space" | "time" | "channel" | "other";
  /** Elements along the dimension. `null` = unbounded, dimension 0 only. */
  readonly size: number | null;
  /** Elements of one chunk. */
  readonly chunk: number;
  /** Elements of one shard: a multiple of `chunk`. Default: the chunk (one chunk per shard along this dimension). */
  readonly shard?: number;
  /** UDUNITS name such as "micrometer". Recorded in the array's attributes. */
  readonly unit?: string;
  /** Physical step between elements, in `unit`. */
  readonly scale?: number;
}

/**
 * Everything about an array's shape that the stream needs, computed once and frozen. Plain data: it crosses threads.
 * "inner" = dimensions 1 … rank−1. Index order is C order everywhere (last dimension fastest).
 */
export interface ArrayGeometry {
  readonly dtype: DType;
  readonly itemBytes: number;
  readonly rank: number;
  /** Dimension sizes; `shape[0]` is null when unbounded. */
  readonly shape: readonly (number | null)[];
  readonly chunk: readonly number[];
  readonly shard: readonly number[];
  readonly names: readonly string[];

  /** One index of the append dimension: Π inner sizes. */
  readonly rowElements: number;
  readonly rowBytes: number;
  /** Rows of an epoch = chunk[0]. */
  readonly epochRows: number;
  readonly epochBytes: number;
  /** Chunks of one epoch = Π ceil(inner size / inner chunk). */
  readonly chunksPerEpoch: number;
  readonly chunkElements: number;
  readonly chunkBytes: number;
  /** Epochs along dimension 0 of a shard = shard[0] / chunk[0]. */
  readonly epochsPerShard: number;
  /** Shards side by side in one shard row = Π ceil(inner size / inner shard). */
  readonly shardsPerRow: number;
  /** Index entries of a shard = Π shard / chunk, also where the shard reaches past the array's edge. */
  readonly chunksPerShard: number;
  /** Rows of the append dimension, or null. */
  readonly rowCount: number | null;
}
