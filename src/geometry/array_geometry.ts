import { MillraceError } from "../base/errors.js";
import { ceilDiv, exactDiv, product } from "../base/integers.js";
import { CHUNK_BYTES_MAX, CHUNKS_PER_SHARD_MAX, RANK_MAX } from "../base/limits.js";
import { nameHint } from "../base/nearest_name.js";
import { describeValue } from "../base/option_values.js";
import { DTYPE_NAMES, type DType, isDType, itemBytes } from "./dtype.js";

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
  /** Element type. */
  readonly dtype: DType;
  /** Bytes of an element. */
  readonly itemBytes: number;
  /** Number of dimensions. */
  readonly rank: number;
  /** Dimension sizes; `shape[0]` is null when unbounded. */
  readonly shape: readonly (number | null)[];
  /** Elements of a chunk, per dimension. */
  readonly chunk: readonly number[];
  /** Elements of a shard, per dimension; multiples of the chunk's. */
  readonly shard: readonly number[];
  /** Names of the dimensions. */
  readonly names: readonly string[];

  /** One index of the append dimension: Π inner sizes. */
  readonly rowElements: number;
  /** Bytes of a row. */
  readonly rowBytes: number;
  /** Rows of an epoch = chunk[0]. */
  readonly epochRows: number;
  /** Raw bytes of an epoch, padding not counted. */
  readonly epochBytes: number;
  /** Chunks of one epoch = Π ceil(inner size / inner chunk). */
  readonly chunksPerEpoch: number;
  /** Elements of a chunk. */
  readonly chunkElements: number;
  /** Raw bytes of a chunk. */
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

/**
 * Checks an array's shape and computes everything that follows from it. Pure; the result is frozen, arrays included.
 *
 * A chunk, or a shard, larger than the array is legal: it is padded with the fill value.
 *
 * @param dimensions slowest first, 1 … 32 of them; sizes in elements. Also checked at run time, for JavaScript callers.
 * @throws MillraceError UNKNOWN_DTYPE; INVALID_OPTION for a value that is wrong by itself (type, range, name);
 *   BAD_GEOMETRY for values that do not fit together or exceed a limit. The context names the dimension and the
 *   numbers.
 */
export function describeGeometry(dtype: DType, dimensions: readonly DimensionOptions[]): ArrayGeometry {
  if (!isDType(dtype)) {
    const given = typeof dtype === "string" ? JSON.stringify(dtype) : typeof dtype;
    throw new MillraceError("UNKNOWN_DTYPE", `Option array.dtype: unknown element type ${given}.`, {
      context: { option: "array.dtype", given: typeof dtype === "string" ? dtype : describeValue(dtype) },
      hint: nameHint(typeof dtype === "string" ? dtype : "", DTYPE_NAMES),
    });
  }
  checkDimensions(dimensions);
  const bytes = itemBytes(dtype);
  const shape = dimensions.map((d) => d.size);
  const chunk = dimensions.map((d) => d.chunk);
  const shard = dimensions.map((d) => d.shard ?? d.chunk);

  const chunkBytes = limitedProduct([...chunk, bytes], CHUNK_BYTES_MAX, "bytes per chunk", dimensions, "chunk");
  const perShard = shard.map((n, i) => exactDiv(n, chunk[i]));
  const chunksPerShard = limitedProduct(perShard, CHUNKS_PER_SHARD_MAX, "chunks per shard", dimensions, "shard");

  const inner = shape.slice(1) as number[];
  const rowElements = product(inner, "elements per row");
  const rowBytes = product([rowElements, bytes], "bytes per row");
  const rowCount = shape[0];
  if (rowCount !== null) product([rowCount, rowBytes], "bytes of the array");
  return Object.freeze({
    dtype,
    itemBytes: bytes,
    rank: dimensions.length,
    shape: Object.freeze(shape),
    chunk: Object.freeze(chunk),
    shard: Object.freeze(shard),
    names: Object.freeze(dimensions.map((d) => d.name)),
    rowElements,
    rowBytes,
    epochRows: chunk[0],
    epochBytes: product([rowBytes, chunk[0]], "bytes per epoch"),
    chunksPerEpoch: product(
      inner.map((size, i) => ceilDiv(size, chunk[i + 1])),
      "chunks per epoch",
    ),
    chunkElements: exactDiv(chunkBytes, bytes),
    chunkBytes,
    epochsPerShard: perShard[0],
    shardsPerRow: product(
      inner.map((size, i) => ceilDiv(size, shard[i + 1])),
      "shards per row",
    ),
    chunksPerShard,
    rowCount,
  });
}

function checkDimensions(dimensions: unknown): asserts dimensions is readonly DimensionOptions[] {
  if (!Array.isArray(dimensions)) {
    throw new MillraceError("INVALID_OPTION", `Option array.dimensions must be an array, got ${typeof dimensions}.`, {
      context: { option: "array.dimensions" },
    });
  }
  if (dimensions.length < 1 || dimensions.length > RANK_MAX) {
    throw new MillraceError(
      "BAD_GEOMETRY",
      `Option array.dimensions must hold 1 to ${RANK_MAX} dimensions, got ${dimensions.length}.`,
      { context: { option: "array.dimensions", rank: dimensions.length, limit: RANK_MAX } },
    );
  }
  const seen = new Map<string, number>();
  // Array.from also visits holes, which forEach would pass over.
  for (const [i, dimension] of Array.from(dimensions as unknown[]).entries()) {
    const name = checkDimension(dimension, i);
    const before = seen.get(name);
    if (before !== undefined) {
      throw new MillraceError(
        "INVALID_OPTION",
        `Dimensions ${before} and ${i} are both named ${JSON.stringify(name)}; names must be unique.`,
        { context: { option: `array.dimensions[${i}].name`, dimension: name } },
      );
    }
    seen.set(name, i);
  }
}

function checkDimension(dimension: unknown, i: number): string {
  const option = `array.dimensions[${i}]`;
  if (typeof dimension !== "object" || dimension === null) {
    throw new MillraceError("INVALID_OPTION", `Option ${option} must be an object, got ${describeValue(dimension)}.`, {
      context: { option },
    });
  }
  const { name, size, chunk, shard } = dimension as Record<string, unknown>;
  if (typeof name !== "string" || name === "") {
    throw new MillraceError(
      "INVALID_OPTION",
      `Option ${option}.name must be a non-empty string, got ${describeValue(name)}.`,
      { context: { option: `${option}.name` } },
    );
  }
  if (size === null) {
    if (i !== 0) {
      throw new MillraceError(
        "BAD_GEOMETRY",
        `Dimension ${i} (${JSON.stringify(name)}) has size null, but only dimension 0 can be unbounded.`,
        {
          context: { option: `${option}.size`, dimension: name },
          hint: "Move it to the front, or give its size in elements.",
        },
      );
    }
  } else {
    checkElements(size, `${option}.size`, name, i === 0 ? "Use null for an unbounded dimension." : undefined);
  }
  checkElements(chunk, `${option}.chunk`, name);
  if (shard === undefined) return name;
  checkElements(shard, `${option}.shard`, name);
  if (shard % chunk !== 0) {
    const up = ceilDiv(shard, chunk) * chunk;
    throw new MillraceError(
      "BAD_GEOMETRY",
      `Dimension ${JSON.stringify(name)}: shard ${shard} is not a multiple of chunk ${chunk}.`,
      {
        context: { option: `${option}.shard`, dimension: name, shard, chunk },
        hint: `Both are in elements; the nearest multiples are ${shard > chunk ? `${up - chunk} and ` : ""}${up}.`,
      },
    );
  }
  return name;
}

function checkElements(value: unknown, option: string, name: string, hint?: string): asserts value is number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return;
  throw new MillraceError(
    "INVALID_OPTION",
    `Option ${option} of dimension ${JSON.stringify(name)} must be a whole number of elements, at least 1, ` +
      `got ${describeValue(value)}.`,
    { context: { option, dimension: name, given: typeof value === "string" ? value : describeValue(value) }, hint },
  );
}

/** A product that names the dimension which drives it over the limit: the one with the largest factor. */
function limitedProduct(
  factors: readonly number[],
  limit: number,
  what: string,
  dimensions: readonly DimensionOptions[],
  option: "chunk" | "shard",
): number {
  let result = 1;
  for (const factor of factors) result *= factor;
  // Inexact beyond 2^53, but every limit is far below: the comparison still holds.
  if (result <= limit) return result;
  const perDimension = factors.slice(0, dimensions.length);
  const widest = perDimension.indexOf(Math.max(...perDimension));
  const { name } = dimensions[widest];
  throw new MillraceError("BAD_GEOMETRY", `${result} ${what} (${perDimension.join(" × ")}) exceed ${limit}.`, {
    context: { what, value: result, limit, dimension: name, factors: perDimension },
    hint: `Make ${option} of dimension ${JSON.stringify(name)} smaller.`,
  });
}
