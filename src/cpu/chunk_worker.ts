import { nowNs } from "../base/clock.js";
import type { ChunkEncoder, CodecSpec } from "../codec/codec.js";
import { openEncoder } from "../codec/open_encoder.js";
import type { NativeAddon } from "../native/addon.js";
import { type EncodePlan, type EncodeRequest, isSkipped, rowsOfEpoch } from "./batch_tasks.js";
import { type ChunkGather, chunkGather } from "./gather.js";

/** Slots as an encoder sees them. */
export interface EncodeMemory {
  readonly staging: readonly Uint8Array[];
  readonly output: readonly Uint8Array[];
  readonly sizes: readonly Uint32Array[];
  readonly offsets: readonly Uint32Array[];
  readonly cursors: Int32Array;
}

/**
 * Gathers and encodes chunks, one after another, on the thread that made it. Several of them share a batch by taking
 * task numbers from one shared cursor, so that a slow chunk holds nobody up; where a chunk lands never depends on who
 * took it.
 */
export class ChunkWorker {
  readonly #plan: EncodePlan;
  readonly #memory: EncodeMemory;
  readonly #gather: ChunkGather;
  readonly #encoder: ChunkEncoder;
  /** Undefined for codec none, which gathers straight into the output slot. */
  readonly #scratch: Uint8Array | undefined;
  readonly #extents: Uint32Array;

  static async open(
    plan: EncodePlan,
    memory: EncodeMemory,
    codec: CodecSpec,
    addon: NativeAddon | undefined,
  ): Promise<ChunkWorker> {
    return new ChunkWorker(plan, memory, codec, addon, await openEncoder(codec, plan.gather.itemBytes, addon));
  }

  private constructor(
    plan: EncodePlan,
    memory: EncodeMemory,
    codec: CodecSpec,
    addon: NativeAddon | undefined,
    encoder: ChunkEncoder,
  ) {
    this.#plan = plan;
    this.#memory = memory;
    this.#gather = chunkGather(plan.gather, addon);
    this.#encoder = encoder;
    this.#scratch = codec.name === "none" ? undefined : new Uint8Array(plan.chunkBytes);
    this.#extents = new Uint32Array(plan.table.rank);
  }

  get provider(): string {
    return this.#encoder.provider;
  }

  /** Takes tasks of the batch until none is left. Returns the nanoseconds spent. Synchronous. */
  run(request: EncodeRequest): number {
    const { table, layout } = this.#plan;
    const cursors = this.#memory.cursors;
    const tasks = request.epochCount * table.chunksPerEpoch;
    const from = nowNs();
    for (;;) {
      const task = Atomics.add(cursors, request.outputIndex, 1);
      if (task >= tasks) break;
      const epoch = Math.floor(task / table.chunksPerEpoch);
      this.#encode(request, task, epoch, task - epoch * table.chunksPerEpoch, layout.chunkStrideBytes);
    }
    return nowNs() - from;
  }

  close(): void {
    this.#encoder.close();
  }

  #encode(request: EncodeRequest, task: number, epoch: number, chunk: number, strideBytes: number): void {
    const { table, epochBytes, chunkBytes } = this.#plan;
    const sizes = this.#memory.sizes[request.outputIndex];
    if (isSkipped(request.skippedEpochs, epoch)) {
      sizes[task] = 0;
      return;
    }
    const extents = this.#extents;
    const first = chunk * table.rank;
    for (let k = 0; k < extents.length; k++) extents[k] = table.extents[first + k];
    extents[0] = rowsOfEpoch(this.#plan, request, epoch);
    const staging = this.#memory.staging[request.stagingIndex];
    const srcOffset = (request.stagingEpoch + epoch) * epochBytes + table.srcOffset[chunk];
    const output = this.#memory.output[request.outputIndex];
    const at = task * strideBytes;
    if (this.#scratch === undefined) {
      this.#gather.gather(staging, srcOffset, extents, output, at);
      sizes[task] = chunkBytes;
    } else {
      this.#gather.gather(staging, srcOffset, extents, this.#scratch, 0);
      sizes[task] = this.#encoder.encode(this.#scratch, output.subarray(at, at + strideBytes));
    }
  }
}
