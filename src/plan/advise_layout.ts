import { assert } from "../base/assert.js";
import { isMillraceError, MillraceError } from "../base/errors.js";
import { ceilDiv, isCount } from "../base/integers.js";
import {
  BATCH_BYTES_TARGET,
  CHUNK_BYTES_MAX,
  CHUNKS_PER_SHARD_MAX,
  OPEN_SHARD_FILES_MAX,
  PIPELINE_DEPTH_MAX,
  PIPELINE_DEPTH_MIN,
} from "../base/limits.js";
import { checkCallback, describeValue, optionsObject } from "../base/option_values.js";
import { type CodecSpec, defaultCodec, resolveCodec } from "../codec/codec.js";
import { type ArrayGeometry, type DimensionOptions, describeGeometry } from "../geometry/array_geometry.js";
import { epochsFor, innerChunkGrid } from "../geometry/chunk_grid.js";
import { type DType, itemBytes } from "../geometry/dtype.js";
import { planBatch } from "./batch_plan.js";
import { chooseChunk, chooseInnerShard, type WeightedDimension } from "./chunk_advice.js";
import { formatBytes } from "./format_bytes.js";
import { type MemoryPlan, planMemory } from "./memory_plan.js";

/** A dimension without its chunk and shard: those are what is asked for. */
export interface LayoutDimension extends Omit<DimensionOptions, "chunk" | "shard"> {
  /**
   * How long a chunk is along this dimension relative to the others: with weights 1 and 2, half as long. −1: as long as
   * the dimension itself (not for an unbounded one); 0: one element. Default 1, but for the first dimension where that
   * is unbounded or of type "time": there chunks take only what the others leave, so that they are whole frames, or
   * tiles of one frame. A stream holds several times chunk × one row of the first dimension, however small its chunks.
   */
  readonly weight?: number;
}

/** What {@link adviseLayout} is asked. Only `dtype` and `dimensions` are required. */
export interface LayoutRequest {
  /** Element type. */
  readonly dtype: DType;
  /** Slowest first, like the options of an array. */
  readonly dimensions: readonly LayoutDimension[];
  /**
   * Raw bytes of a chunk, at most. Default 512 KiB: chunk and encoded chunk fit the second-level cache of a core
   * together, a viewer fetches a tile in one short request, and the 16 bytes of its index entry and the frame around it
   * do not count.
   */
  readonly chunkBytesTarget?: number;
  /** Raw bytes that a memory budget may push the target down to. Default 16 KiB; below, per-chunk costs show. */
  readonly chunkBytesMin?: number;
  /** Raw bytes of a shard, at most where possible. Default 512 MiB: two thousand objects per terabyte. */
  readonly shardBytesTarget?: number;
  /** Shards open at once, at most; at least 2, because a batch can straddle two shard rows. Default 512. */
  readonly concurrentShardsMax?: number;
  /** Default: no bound. */
  readonly memoryBudgetBytes?: number;
  /**
   * Default: that of the dtype. Only its size bound matters. Also in the command line's spelling: "blosc", "zstd:5".
   */
  readonly codec?: CodecSpec | string;
  /** Default: the writer's. */
  readonly depth?: number;
  /** Default 1. */
  readonly encodeThreads?: number;
  /** Memory of the sink while so many shards are open. Default: none. */
  readonly sinkMemoryBytes?: (openShards: number, shardBytesMax: number) => number;
}

/** What {@link adviseLayout} answers. */
export interface LayoutAdvice {
  /** Ready for `array.dimensions`. */
  readonly dimensions: readonly DimensionOptions[];
  /** What a stream of this layout allocates. */
  readonly memory: MemoryPlan;
  /** Why it is as it is: one sentence each, with the numbers. */
  readonly reasons: readonly string[];
}

const CHUNK_BYTES_TARGET = 512 * 1024;
const CHUNK_BYTES_MIN = 16 * 1024;
const SHARD_BYTES_TARGET = 512 * 2 ** 20;
/** From here on a stream holds more than some 400 MiB for one element of the outermost dimension. */
const PLANES_APART_BYTES = 64 * 2 ** 20;

/**
 * Chooses chunk and shard sizes; the same answer for the same request. Where the memory budget is too small, the batch
 * gives way first, then the chunk (its target is halved), then the number of epochs in a shard.
 * Without a budget memory is bounded by what one row of the first dimension takes, or by batches of 16 MiB, unless that
 * dimension has a weight.
 * @throws MillraceError BAD_GEOMETRY when no chunk meets the request, MEMORY_BUDGET_EXCEEDED when the smallest layout
 *   is still too large, INVALID_OPTION, UNKNOWN_DTYPE or UNKNOWN_CODEC for a request that is wrong by itself.
 */
export function adviseLayout(request: LayoutRequest): LayoutAdvice {
  const wanted = checkRequest(request);
  let tooLarge: MillraceError | undefined;
  for (let shardHalvings = 0; ; shardHalvings++) {
    let deepest = 0;
    for (let target = wanted.chunkBytesTarget; target >= wanted.chunkBytesMin; target = Math.floor(target / 2)) {
      const chunk = chooseChunk(wanted.weighted, Math.floor(target / itemBytes(request.dtype)));
      if (chunk === undefined) {
        if (target === wanted.chunkBytesTarget) throw pinnedTooLarge(request, target);
        break;
      }
      const geometry = withShards(request, wanted, chunk, 2 ** shardHalvings);
      deepest = Math.max(deepest, geometry.epochsPerShard);
      try {
        const memory = planMemory({ ...wanted, geometry });
        return describeAdvice(request, wanted, geometry, memory, target);
      } catch (error) {
        if (!isMillraceError(error, "MEMORY_BUDGET_EXCEEDED") && !isMillraceError(error, "BAD_GEOMETRY")) throw error;
        tooLarge = error;
      }
    }
    // Another halving changes nothing any more; 2^53 epochs have been halved to one by then.
    if (deepest <= 1 || shardHalvings >= 53) throw nothingFits(request, tooLarge);
  }
}

interface Wanted {
  readonly weighted: readonly WeightedDimension[];
  readonly chunkBytesTarget: number;
  readonly chunkBytesMin: number;
  readonly shardBytesTarget: number;
  readonly concurrentShardsMax: number;
  readonly memoryBudgetBytes: number | undefined;
  readonly codec: CodecSpec;
  readonly depth: number | undefined;
  readonly encodeThreads: number;
  readonly sinkMemoryBytes: (openShards: number, shardBytesMax: number) => number;
}

function checkRequest(request: LayoutRequest): Wanted {
  optionsObject("adviseLayout", request);
  checkCallback("sinkMemoryBytes", request.sinkMemoryBytes);
  // Checks dtype, names and sizes; chunks of one element are always legal.
  const { rowBytes } = describeGeometry(
    request.dtype,
    withChunks(request.dimensions, (d) => ({ ...d, chunk: 1, shard: undefined })),
  );
  const weighted = request.dimensions.map(({ name, size, type, weight = 1 }, i): WeightedDimension => {
    if (i === 0 && request.dimensions[i].weight === undefined && (size === null || type === "time")) {
      // Epochs below a batch cost no memory: a batch of several would be as large.
      return { size, weight: 0, restMax: Math.max(1, Math.floor(BATCH_BYTES_TARGET / rowBytes)) };
    }
    const option = `dimensions[${i}].weight`;
    if (typeof weight !== "number" || !Number.isFinite(weight) || (weight < 0 && weight !== -1)) {
      throw invalid(option, "−1, 0 or a positive number", weight);
    }
    if (weight === -1 && size === null) {
      throw new MillraceError(
        "BAD_GEOMETRY",
        `Dimension ${JSON.stringify(name)} is unbounded, so no chunk can span it (weight −1).`,
        { context: { option, dimension: name } },
      );
    }
    return { size, weight };
  });
  const bytes = itemBytes(request.dtype);
  const chunkBytesTarget = count(
    "chunkBytesTarget",
    request.chunkBytesTarget ?? CHUNK_BYTES_TARGET,
    bytes,
    CHUNK_BYTES_MAX,
  );
  return {
    weighted,
    chunkBytesTarget,
    chunkBytesMin: count(
      "chunkBytesMin",
      request.chunkBytesMin ?? Math.min(CHUNK_BYTES_MIN, chunkBytesTarget),
      1,
      chunkBytesTarget,
    ),
    shardBytesTarget: count("shardBytesTarget", request.shardBytesTarget ?? SHARD_BYTES_TARGET, 1),
    concurrentShardsMax: count("concurrentShardsMax", request.concurrentShardsMax ?? OPEN_SHARD_FILES_MAX, 2),
    memoryBudgetBytes:
      request.memoryBudgetBytes === undefined ? undefined : count("memoryBudgetBytes", request.memoryBudgetBytes, 1),
    codec: request.codec === undefined ? defaultCodec(request.dtype) : resolveCodec(request.codec),
    depth:
      request.depth === undefined ? undefined : count("depth", request.depth, PIPELINE_DEPTH_MIN, PIPELINE_DEPTH_MAX),
    encodeThreads: count("encodeThreads", request.encodeThreads ?? 1, 1),
    sinkMemoryBytes: request.sinkMemoryBytes ?? (() => 0),
  };
}

/** Puts shards around the chunk. `shrink` divides the number of epochs that the shard target would allow. */
function withShards(request: LayoutRequest, wanted: Wanted, chunk: readonly number[], shrink: number): ArrayGeometry {
  const bare = describeGeometry(
    request.dtype,
    withChunks(request.dimensions, (d, i) => ({ ...d, chunk: chunk[i] })),
  );
  // Half, because a batch can straddle two shard rows.
  const perRowMax = Math.floor(wanted.concurrentShardsMax / 2);
  const inner = chooseInnerShard(innerChunkGrid(bare), bare.chunkBytes, {
    bytesTarget: wanted.shardBytesTarget,
    chunksMax: CHUNKS_PER_SHARD_MAX,
    perRowMax,
  });
  let chunksPerEpoch = 1;
  let perRow = 1;
  for (const [i, n] of inner.entries()) {
    chunksPerEpoch *= n;
    perRow *= ceilDiv(innerChunkGrid(bare)[i], n);
  }
  // The bound on open shards is hard, the size of a shard is not: a batch may reach into so many shard rows, not more.
  const { epochsPerBatch } = planBatch(bare, { codec: wanted.codec, depth: wanted.depth });
  const rowsMax = Math.max(2, Math.floor(wanted.concurrentShardsMax / perRow));
  const epochsMin = ceilDiv(epochsPerBatch - 1, rowsMax - 1);
  const epochsFit = Math.floor(wanted.shardBytesTarget / (chunksPerEpoch * bare.chunkBytes) / shrink);
  const epochsMax = Math.min(
    Math.max(1, Math.floor(CHUNKS_PER_SHARD_MAX / chunksPerEpoch)),
    bare.rowCount === null ? Number.MAX_SAFE_INTEGER : epochsFor(bare, bare.rowCount),
  );
  const epochsPerShard = Math.min(Math.max(1, epochsMin, epochsFit), epochsMax);
  const chunksOfShard = [epochsPerShard, ...inner];
  return describeGeometry(
    request.dtype,
    withChunks(request.dimensions, (d, i) => ({ ...d, chunk: chunk[i], shard: chunk[i] * chunksOfShard[i] })),
  );
}

function describeAdvice(
  request: LayoutRequest,
  wanted: Wanted,
  g: ArrayGeometry,
  memory: MemoryPlan,
  target: number,
): LayoutAdvice {
  const reasons = [
    `A chunk of ${g.chunk.join(" × ")} elements is ${formatBytes(g.chunkBytes)}, within the target of ` +
      `${formatBytes(target)}.`,
  ];
  const [{ restMax }] = wanted.weighted;
  const outer = JSON.stringify(g.names[0]);
  if (restMax !== undefined) {
    reasons.push(
      `A stream holds whole epochs, each as long as a chunk along ${outer}, over all other dimensions: ` +
        `${g.epochRows} long, an epoch is ${formatBytes(g.epochBytes)}; give ${outer} a weight for longer chunks.`,
    );
  }
  if (g.names.length > 3 && g.epochRows === 1 && g.epochBytes > PLANES_APART_BYTES) {
    const joined = `${outer} and ${JSON.stringify(g.names[1])}`;
    reasons.push(
      `1 element of ${outer} is ${formatBytes(g.epochBytes)}, and no chunk makes an epoch smaller: ` +
        `with ${joined} as one outermost dimension a stream would hold planes instead.`,
    );
  }
  if (target < wanted.chunkBytesTarget) {
    reasons.push(
      `The chunk target went down from ${formatBytes(wanted.chunkBytesTarget)} to ${formatBytes(target)} to ` +
        "keep to the " +
        `memory budget of ${formatBytes(wanted.memoryBudgetBytes ?? 0)}.`,
    );
  }
  const stored = g.chunksPerEpoch * g.chunkElements;
  const padded = stored - g.epochRows * g.rowElements;
  if (padded > 0) {
    reasons.push(`Chunks at the edges are padded: ${((100 * padded) / stored).toFixed(1)} % of the elements stored.`);
  }
  reasons.push(
    `A shard of ${g.shard.join(" × ")} elements holds ${g.chunksPerShard} chunks in ${epochs(g.epochsPerShard)}, ` +
      `${formatBytes(g.chunksPerShard * g.chunkBytes)} raw, for a target of ${formatBytes(wanted.shardBytesTarget)}.`,
    `${g.shardsPerRow} shards lie side by side and up to ${memory.openShards} are open at once, ` +
      `at most ${wanted.concurrentShardsMax} are allowed.`,
    `A batch of ${epochs(memory.epochsPerBatch)} is ${formatBytes(memory.batch.stagingSlotBytes)} raw; with ` +
      `${memory.batch.stagingSlots} slots the stream takes ${formatBytes(memory.totalBytes)}.`,
    ...memory.reductions,
  );
  const dimensions = withChunks(request.dimensions, (d, i) =>
    Object.freeze({ ...d, chunk: g.chunk[i], shard: g.shard[i] }),
  );
  return Object.freeze({ dimensions: Object.freeze(dimensions), memory, reasons: Object.freeze(reasons) });
}

function epochs(n: number): string {
  return n === 1 ? "1 epoch" : `${n} epochs`;
}

function withChunks(
  dimensions: readonly LayoutDimension[],
  complete: (dimension: Omit<LayoutDimension, "weight">, i: number) => DimensionOptions,
): DimensionOptions[] {
  if (!Array.isArray(dimensions)) throw invalid("dimensions", "an array", dimensions);
  return dimensions.map((dimension, i) => {
    if (typeof dimension !== "object" || dimension === null) throw invalid(`dimensions[${i}]`, "an object", dimension);
    const { weight: _, ...rest } = dimension;
    return complete(rest, i);
  });
}

/** The last failure, with a hint that speaks of this function's own options. */
function nothingFits(request: LayoutRequest, last: MillraceError | undefined): MillraceError {
  assert(last !== undefined, "a layout that was not taken has a reason");
  const hint = last.hint ?? "";
  const [{ name, weight, size, type }] = request.dimensions;
  const longer = weight === undefined ? size !== null && type !== "time" : weight > 0;
  const message = hint === "" ? last.message : last.message.slice(0, -hint.length - 1);
  return new MillraceError(last.code, `The smallest layout does not fit. ${message}`, {
    context: last.context,
    hint:
      `${longer ? `Give dimension ${JSON.stringify(name)} a smaller weight, or lower` : "Lower"} chunkBytesMin or ` +
      "depth.",
  });
}

function pinnedTooLarge(request: LayoutRequest, target: number): MillraceError {
  const pinned = request.dimensions.filter((d) => d.weight === -1);
  const names = pinned.map((d) => JSON.stringify(d.name)).join(", ");
  let least: number = itemBytes(request.dtype);
  for (const { size } of pinned) least *= size ?? 1;
  return new MillraceError(
    "BAD_GEOMETRY",
    `A chunk that spans ${names} has at least ${least} bytes, more than chunkBytesTarget, ${target}.`,
    {
      context: { bytes: least, chunkBytesTarget: target },
      hint: "Raise the target, or give them another weight than −1.",
    },
  );
}

function count(option: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (isCount(value) && value >= min && value <= max) return value;
  throw invalid(option, `a whole number from ${min} to ${max}`, value);
}

function invalid(option: string, expected: string, value: unknown): MillraceError {
  return new MillraceError("INVALID_OPTION", `Option ${option} must be ${expected}, got ${describeValue(value)}.`, {
    context: { option, given: describeValue(value) },
  });
}
