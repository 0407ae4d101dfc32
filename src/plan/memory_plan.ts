import { MillraceError } from "../base/errors.js";
import { product } from "../base/integers.js";
import {
  GPU_BATCH_BLOCKS_MAX,
  GPU_BATCH_BYTES_TARGET,
  GPU_SLOTS,
  PIPELINE_DEPTH_DEFAULT,
  SOFTWARE_BATCH_BLOCKS_MAX,
  SOFTWARE_BATCH_BYTES_TARGET,
} from "../base/limits.js";
import { type CodecSpec, codecBound, encoderScratchBytes } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { epochTableBytes } from "../geometry/epoch_table.js";
import { commitFrameBytes } from "../journal/journal_format.js";
import { type BatchPlan, openShardRowsMax, planBatch } from "./batch_plan.js";
import { formatBytes } from "./format_bytes.js";
import { exceededLimit, type GpuLimits, gpuLayout, gpuLimitsNeeded, gpuMemory, limitTooSmall } from "./gpu_layout.js";
import { smallerEpoch } from "./smaller_epoch.js";

/** Slot tables, counters and metadata buffers of a stream: everything whose size does not depend on the array. */
const CONTROL_FIXED_BYTES = 64 * 1024;

/**
 * What a worker thread of JavaScript takes: its isolate with Millrace's code, and the young generation it settles at.
 * Measured on Node 20 as growth of resident memory over 20,000 batches, per further thread.
 */
const WORKER_THREAD_BYTES = 12 * 1024 * 1024;
/** The same for the caller's own thread, beyond what importing Millrace took. */
const CALLER_THREAD_BYTES = 10 * 1024 * 1024;

/** One entry of a shard's index, and the checksum behind the last one (Zarr v3 sharding_indexed). */
const INDEX_ENTRY_BYTES = 16;
const INDEX_CHECKSUM_BYTES = 4;

export interface MemoryRequest {
  readonly geometry: ArrayGeometry;
  readonly codec: CodecSpec;
  /** K. Undefined: chosen, and the first thing to shrink when the budget is too small. */
  readonly batchEpochs?: number;
  /** Staging and output slots. Undefined: 3, or 2 when the budget asks for it. */
  readonly depth?: number;
  /** Threads that encode; each may need room for a gathered chunk. */
  readonly encodeThreads: number;
  /**
   * Workers of JavaScript: engine, delivery, and encode threads that are not the addon's. Default 0 = everything
   * inline.
   */
  readonly workerThreads?: number;
  /** The adapter that encodes; undefined: the CPU does. */
  readonly gpu?: GpuOfPlan;
  /** Memory of the sink while so many shards are open, each of so many bytes at most. */
  readonly sinkMemoryBytes: (openShards: number, shardBytesMax: number) => number;
  /** Undefined: no bound. */
  readonly memoryBudgetBytes?: number;
}

/** What of an adapter a plan depends on. */
export interface GpuOfPlan {
  readonly name: string;
  readonly software: boolean;
  readonly limits: GpuLimits;
}

/** Of a stream on a GPU. */
export interface GpuPlan {
  /** Batches on the device at once. */
  readonly slots: number;
  /** Memory of the device, bytes; on a GPU that shares the host's memory it comes on top of `totalBytes`. */
  readonly deviceBytes: number;
}

/**
 * All memory of a stream by purpose, in bytes. `totalBytes` is the sum of the items; nothing else grows while
 * streaming.
 */
export interface MemoryPlan {
  /** Slots that the producer's bytes are copied into. */
  readonly staging: number;
  /** Slots that encoded chunks are written to. */
  readonly output: number;
  /** Tables of encoded sizes and offsets, one of each per output slot. */
  readonly sizes: number;
  /** Indexes of all shards that are open at once. */
  readonly shardIndexes: number;
  /**
   * A gathered chunk per encode thread and what the encoder works in; 0 for codec none, which gathers straight into its
   * slot.
   */
  readonly encoderScratch: number;
  /** Host memory that a GPU reads and writes: what the producer's bytes go up by, and the encoded ones come back by. */
  readonly gpuHost: number;
  /** What the sink says it holds. */
  readonly sink: number;
  /**
   * Heaps of the threads that the stream starts, as measured. No option makes them much smaller, so they do not count
   * against the budget.
   */
  readonly threads: number;
  /** The epoch table, slot tables, counters, buffers for metadata and for what the journal says of a batch. */
  readonly control: number;
  /** All of the above, bytes. */
  readonly totalBytes: number;

  /** Shards open at once, at most: shards per row × two rows, one being written and one being sealed. */
  readonly openShards: number;
  /** Chunks of an epoch. */
  readonly chunksPerEpoch: number;
  /** Chunks of a full batch. */
  readonly chunksPerBatch: number;
  /** Epochs encoded together (K). */
  readonly epochsPerBatch: number;
  /** Undefined: the CPU encodes. */
  readonly gpu: GpuPlan | undefined;
  /** Slots and their layout: what is allocated. */
  readonly batch: BatchPlan;
  /**
   * One sentence for each thing that was made smaller than usual, or done without, to keep to a bound; empty when
   * nothing was.
   */
  readonly reductions: readonly string[];
}

/**
 * Plans all memory of a stream. The writer allocates from this plan and `estimateMemory` shows it, so the two cannot
 * differ.
 *
 * Over the budget, K is halved down to 1 if it was not asked for, then the depth goes from 3 to 2 if it was not asked
 * for. K is halved too where a GPU's limits ask for it.
 * @throws MillraceError MEMORY_BUDGET_EXCEEDED with every item in its context when it still does not fit;
 *   BACKEND_UNAVAILABLE, with the limit in its context, when one epoch is too much for the GPU; and whatever {@link
 *   planBatch} throws.
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const budget = request.memoryBudgetBytes ?? Number.POSITIVE_INFINITY;
  const reductions: string[] = [];
  let depth = request.depth;
  let batchEpochs = request.batchEpochs;
  let plan = itemize(request, batchEpochs, depth, reductions);
  const wanted = plan.epochsPerBatch;
  const { gpu } = request;
  let limits = "";
  while (gpu !== undefined) {
    const layout = gpuLayout(request.geometry, request.codec, plan.epochsPerBatch);
    const tooSmall = exceededLimit(gpuLimitsNeeded(layout), gpu.limits);
    if (tooSmall === undefined) break;
    if (request.batchEpochs !== undefined || plan.epochsPerBatch === 1) throw limitTooSmall(tooSmall, gpu.name);
    limits = tooSmall.limit === undefined ? "what the kernels address" : `the limits of ${gpu.name}`;
    batchEpochs = Math.ceil(plan.epochsPerBatch / 2);
    plan = itemize(request, batchEpochs, depth, reductions);
  }
  const fitsGpu = plan.epochsPerBatch;
  while (plan.totalBytes - plan.threads > budget) {
    if (request.batchEpochs === undefined && plan.epochsPerBatch > 1) {
      batchEpochs = Math.ceil(plan.epochsPerBatch / 2);
    } else if (request.depth === undefined && depth === undefined) {
      depth = PIPELINE_DEPTH_DEFAULT - 1;
    } else {
      throw overBudget(request, plan, budget);
    }
    plan = itemize(request, batchEpochs, depth, reductions);
  }
  if (fitsGpu < wanted) {
    reductions.push(`A batch holds ${fitsGpu} epochs instead of ${wanted} to keep to ${limits}.`);
  }
  if (plan.epochsPerBatch < fitsGpu) {
    reductions.push(`A batch holds ${plan.epochsPerBatch} epochs instead of ${fitsGpu} to keep to the memory budget.`);
  }
  if (depth !== request.depth) {
    reductions.push(`There are ${depth} slots instead of ${PIPELINE_DEPTH_DEFAULT} to keep to the memory budget.`);
  }
  Object.freeze(reductions);
  return plan;
}

function itemize(
  request: MemoryRequest,
  batchEpochs: number | undefined,
  depth: number | undefined,
  reductions: readonly string[],
): MemoryPlan {
  const { geometry: g, codec, encodeThreads, workerThreads = 0, sinkMemoryBytes } = request;
  const { gpu } = request;
  const targetBytes = gpu && gpuTargetBytes(request, gpu);
  const batch = planBatch(g, { codec, batchEpochs, depth, targetBytes });
  const gpuSlots = Math.min(GPU_SLOTS, batch.stagingSlots);
  const onGpu = gpu && gpuMemory(gpuLayout(g, codec, batch.epochsPerBatch), batch.stagingSlots, gpuSlots);
  const openShards = product([g.shardsPerRow, openShardRowsMax(g)], "open shards");
  const indexBytes = g.chunksPerShard * INDEX_ENTRY_BYTES + INDEX_CHECKSUM_BYTES;
  const items = {
    staging: product([batch.stagingSlots, batch.stagingSlotBytes], "bytes of staging"),
    output: product([batch.outputSlots, batch.outputLayout.slotBytes], "bytes of output"),
    sizes: batch.outputSlots * batch.sizesBytes,
    shardIndexes: product([openShards, indexBytes], "bytes of indexes"),
    encoderScratch: product(
      [encodeThreads, encoderScratchBytes(codec, g.chunkBytes, g.itemBytes)],
      "bytes of encoder scratch",
    ),
    gpuHost: onGpu?.hostBytes ?? 0,
    sink: sinkMemoryBytes(openShards, g.chunksPerShard * codecBound(codec, g.chunkBytes) + indexBytes),
    threads: workerThreads === 0 ? 0 : CALLER_THREAD_BYTES + workerThreads * WORKER_THREAD_BYTES,
    control: CONTROL_FIXED_BYTES + epochTableBytes(g) + commitFrameBytes(batch.chunksPerBatch),
  };
  let totalBytes = 0;
  for (const bytes of Object.values(items)) totalBytes += bytes;
  return Object.freeze({
    ...items,
    totalBytes,
    openShards,
    chunksPerEpoch: g.chunksPerEpoch,
    chunksPerBatch: batch.chunksPerBatch,
    epochsPerBatch: batch.epochsPerBatch,
    gpu: onGpu && Object.freeze({ slots: gpuSlots, deviceBytes: onGpu.deviceBytes }),
    batch,
    reductions,
  });
}

/** Raw bytes of a batch for a GPU: enough blocks to keep it busy, not so many that their tables outgrow them. */
function gpuTargetBytes({ geometry: g, codec }: MemoryRequest, { software }: GpuOfPlan): number {
  const { blocksPerChunk } = gpuLayout(g, codec, 1);
  const blocksMax = software ? SOFTWARE_BATCH_BLOCKS_MAX : GPU_BATCH_BLOCKS_MAX;
  const epochs = Math.max(1, Math.floor(blocksMax / (g.chunksPerEpoch * blocksPerChunk)));
  return Math.min(software ? SOFTWARE_BATCH_BYTES_TARGET : GPU_BATCH_BYTES_TARGET, epochs * g.epochBytes);
}

function overBudget(request: MemoryRequest, plan: MemoryPlan, budget: number): MillraceError {
  const { staging, output, sizes, shardIndexes, encoderScratch, gpuHost, sink, control } = plan;
  const items = { staging, output, sizes, shardIndexes, encoderScratch, gpuHost, sink, control };
  const totalBytes = plan.totalBytes - plan.threads;
  const listed = Object.entries(items)
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
    .join(", ");
  return new MillraceError(
    "MEMORY_BUDGET_EXCEEDED",
    `The stream needs ${formatBytes(totalBytes)}, the budget is ${formatBytes(budget)}: ${listed}.`,
    {
      context: {
        ...items,
        threads: plan.threads,
        totalBytes,
        memoryBudgetBytes: budget,
        openShards: plan.openShards,
        epochsPerBatch: plan.epochsPerBatch,
        depth: plan.batch.stagingSlots,
      },
      hint: whatToShrink(request, plan, items),
    },
  );
}

/** The one change that helps most, for the item that is largest. */
function whatToShrink(request: MemoryRequest, plan: MemoryPlan, items: Readonly<Record<string, number>>): string {
  const { geometry: g } = request;
  const append = JSON.stringify(g.names[0]);
  const [largest] = Object.entries(items).reduce((a, b) => (b[1] > a[1] ? b : a));
  switch (largest) {
    case "shardIndexes":
      return (
        `Make shard of dimension ${append} smaller (now ${g.shard[0]}), or chunks larger: ${g.chunksPerShard} ` +
        "chunks a shard."
      );
    case "sink":
      return `Make shards larger in dimensions 1 and up: ${plan.openShards} are open at once.`;
    case "encoderScratch":
      return (
        `Lower encodeThreads (now ${request.encodeThreads}), or make chunks smaller (now ` +
        `${formatBytes(g.chunkBytes)}).`
      );
    case "control":
      return `Make chunks larger: there are ${g.chunksPerEpoch} in an epoch.`;
    default:
      if (request.batchEpochs !== undefined && plan.epochsPerBatch > 1) {
        return `Lower batchEpochs (now ${plan.epochsPerBatch}) or leave it out.`;
      }
      if (request.depth !== undefined && request.depth > 1) return `Lower depth (now ${request.depth}).`;
      return smallerEpoch(g);
  }
}
