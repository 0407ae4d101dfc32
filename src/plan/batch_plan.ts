import { MillraceError } from "../base/errors.js";
import { alignUp, ceilDiv, product } from "../base/integers.js";
import {
  BATCH_BYTES_TARGET,
  BATCH_EPOCHS_MAX,
  PIPELINE_DEPTH_DEFAULT,
  PIPELINE_DEPTH_MAX,
  PIPELINE_DEPTH_MIN,
} from "../base/limits.js";
import { type CodecSpec, codecBound } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { epochsFor, shardRowsFor } from "../geometry/chunk_grid.js";
import type { OutputLayout } from "../handoff/host_batch.js";
import { smallerEpoch } from "./smaller_epoch.js";

/** One slot is one buffer, and a view over 2^32 bytes is the longest that every supported Node can make. */
export const SLOT_BYTES_MAX = 2 ** 32;

/** Encoded chunks of varying size start at multiples of this, so that vector loads and stores on them are aligned. */
const OUTPUT_ALIGNMENT = 16;

/** Bytes of one entry in a slot's tables of encoded sizes and of their offsets. */
const ENTRY_BYTES = 8;

interface BatchRequest {
  readonly codec: CodecSpec;
  /** K. Default: as many epochs as reach `targetBytes`. Never more than a bounded array has. */
  readonly batchEpochs?: number;
  /** Staging slots, and as many output slots. Default 3. */
  readonly depth?: number;
  /** Raw bytes that an automatic K aims at. Default 16 MiB. */
  readonly targetBytes?: number;
}

/** Sizes of the slots; a function of geometry and request alone. */
export interface BatchPlan {
  /** K. */
  readonly epochsPerBatch: number;
  /** Chunks of a full batch. */
  readonly chunksPerBatch: number;
  /** Slots that the producer's bytes are copied into. */
  readonly stagingSlots: number;
  /** K epoch slabs end to end. */
  readonly stagingSlotBytes: number;
  /** Slots that encoded chunks are written to. */
  readonly outputSlots: number;
  /** Where the chunks lie in an output slot. */
  readonly outputLayout: OutputLayout;
  /** Tables of encoded sizes and offsets of one output slot: two u32 per chunk. */
  readonly sizesBytes: number;
}

/**
 * Chooses K and lays out the slots.
 * @throws MillraceError BAD_GEOMETRY when one epoch does not fit into a slot; INVALID_OPTION when the K or depth asked
 *   for is out of range.
 */
export function planBatch(g: ArrayGeometry, request: BatchRequest): BatchPlan {
  const depth = request.depth ?? PIPELINE_DEPTH_DEFAULT;
  checkRange("depth", depth, PIPELINE_DEPTH_MIN, PIPELINE_DEPTH_MAX);
  if (request.batchEpochs !== undefined) checkRange("batchEpochs", request.batchEpochs, 1, BATCH_EPOCHS_MAX);

  const chunkStrideBytes =
    request.codec.name === "none" ? g.chunkBytes : alignUp(codecBound(request.codec, g.chunkBytes), OUTPUT_ALIGNMENT);
  const epochOutputBytes = product([g.chunksPerEpoch, chunkStrideBytes], "encoded bytes of an epoch");
  const slotEpochsMax = Math.floor(SLOT_BYTES_MAX / Math.max(g.epochBytes, epochOutputBytes));
  if (slotEpochsMax === 0) {
    throw new MillraceError(
      "BAD_GEOMETRY",
      `One epoch of ${g.epochRows} rows is ${g.epochBytes} bytes raw and up to ${epochOutputBytes} bytes encoded, ` +
        `but a slot holds at most ${SLOT_BYTES_MAX}.`,
      {
        context: { epochBytes: g.epochBytes, epochOutputBytes, limit: SLOT_BYTES_MAX, dimension: g.names[0] },
        hint: smallerEpoch(g),
      },
    );
  }
  const total = g.rowCount === null ? BATCH_EPOCHS_MAX : epochsFor(g, g.rowCount);
  let epochsPerBatch: number;
  if (request.batchEpochs === undefined) {
    const wanted = ceilDiv(request.targetBytes ?? BATCH_BYTES_TARGET, g.epochBytes);
    epochsPerBatch = Math.max(1, Math.min(wanted, BATCH_EPOCHS_MAX, total, slotEpochsMax));
  } else {
    epochsPerBatch = Math.min(request.batchEpochs, total);
    if (epochsPerBatch > slotEpochsMax) {
      throw new MillraceError(
        "INVALID_OPTION",
        `Option batchEpochs is ${request.batchEpochs}, but a slot holds at most ${slotEpochsMax} epochs of this array.`,
        { context: { option: "batchEpochs", given: request.batchEpochs, limit: slotEpochsMax } },
      );
    }
  }
  const chunksPerBatch = epochsPerBatch * g.chunksPerEpoch;
  return Object.freeze({
    epochsPerBatch,
    chunksPerBatch,
    stagingSlots: depth,
    stagingSlotBytes: epochsPerBatch * g.epochBytes,
    outputSlots: depth,
    outputLayout: Object.freeze({
      slotBytes: epochsPerBatch * epochOutputBytes,
      chunkStrideBytes,
      chunksPerEpoch: g.chunksPerEpoch,
      epochsPerBatch,
    }),
    sizesBytes: chunksPerBatch * ENTRY_BYTES,
  });
}

/** Shard rows that hold open shards at once, at most: one is written while the one before it is sealed. */
export function openShardRowsMax(g: ArrayGeometry): number {
  return g.rowCount === null ? 2 : Math.min(2, shardRowsFor(g, g.rowCount));
}

function checkRange(option: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new MillraceError(
    "INVALID_OPTION",
    `Option ${option} must be a whole number from ${min} to ${max}, got ${value}.`,
    { context: { option, given: String(value), min, max } },
  );
}
