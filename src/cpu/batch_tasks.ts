import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { EpochTable } from "../geometry/epoch_table.js";
import type { OutputLayout } from "../handoff/host_batch.js";
import type { GatherDescription } from "../native/addon.js";

/**
 * One encode task = one chunk of one epoch of a batch; task number = epoch in batch · chunksPerEpoch + chunk in shard
 * order, which is also the chunk's place in the output slot. What every executor needs to turn a task into offsets.
 */
export interface EncodePlan {
  readonly table: EpochTable;
  readonly layout: OutputLayout;
  readonly epochBytes: number;
  readonly epochRows: number;
  readonly chunkBytes: number;
  readonly gather: GatherDescription;
}

export function encodePlan(g: ArrayGeometry, table: EpochTable, layout: OutputLayout, fill: Uint8Array): EncodePlan {
  return {
    table,
    layout,
    epochBytes: g.epochBytes,
    epochRows: g.epochRows,
    chunkBytes: g.chunkBytes,
    gather: {
      itemBytes: g.itemBytes,
      chunkShape: Uint32Array.from(g.chunk),
      srcStrides: table.srcStrides,
      fill,
    },
  };
}

/** What an executor is asked to do for one kick. Plain data. */
export interface EncodeRequest {
  readonly stagingIndex: number;
  /** Epochs of the slot before the first one of the batch. */
  readonly stagingEpoch: number;
  readonly outputIndex: number;
  readonly epochCount: number;
  /** Rows of the last epoch; epochRows unless the array ends inside it. */
  readonly lastEpochRows: number;
  readonly skippedEpochs: Uint8Array | undefined;
}

export function isSkipped(skippedEpochs: Uint8Array | undefined, epochInBatch: number): boolean {
  return skippedEpochs !== undefined && (skippedEpochs[epochInBatch >> 3] & (1 << (epochInBatch & 7))) !== 0;
}

/** Valid rows of an epoch of the request. */
export function rowsOfEpoch(plan: EncodePlan, request: EncodeRequest, epochInBatch: number): number {
  return epochInBatch === request.epochCount - 1 ? request.lastEpochRows : plan.epochRows;
}
