import { type CodecSpec, encoderKind } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { epochTable } from "../geometry/epoch_table.js";
import type { Backend, StagedBatch } from "../handoff/backend.js";
import type { OutputLayout } from "../handoff/host_batch.js";
import type { Counters } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import { encodePlan } from "./batch_tasks.js";
import { ChunkWorker, type EncodeMemory } from "./chunk_worker.js";
import type { Executor } from "./executor.js";
import { InlineExecutor } from "./inline_executor.js";
import { NativeExecutor } from "./native_executor.js";

interface CpuBackendInit {
  readonly geometry: ArrayGeometry;
  readonly codec: CodecSpec;
  readonly fill: Uint8Array;
  readonly memory: EncodeMemory;
  readonly layout: OutputLayout;
  readonly threads: number;
  /** Encode on the calling thread. */
  readonly inline: boolean;
}

/**
 * The CPU backend, and the oracle of every other one: each chunk is gathered straight from staging and encoded, in
 * parallel. Which executor runs never shows in the bytes.
 */
export class CpuBackend implements Backend {
  readonly kind = "cpu";
  readonly #executor: Executor;
  readonly #init: CpuBackendInit;
  readonly #counters: Counters;
  #inFlight = 0;
  #idle: (() => void) | undefined;

  static async open(init: CpuBackendInit, addon: NativeAddon | undefined, counters: Counters): Promise<CpuBackend> {
    const plan = encodePlan(init.geometry, epochTable(init.geometry), init.layout, init.fill);
    let executor: Executor;
    if (init.inline) {
      executor = new InlineExecutor(await ChunkWorker.open(plan, init.memory, init.codec, addon));
    } else if (addon !== undefined && encoderKind(init.codec) !== "libzstd") {
      executor = new NativeExecutor(addon, plan, init.memory, init.codec, init.threads);
    } else {
      // Loaded only here: a web page has no worker_threads.
      const { WorkerExecutor } = await import("./worker_executor.js");
      executor = await WorkerExecutor.open({ plan, memory: init.memory, codec: init.codec }, init.threads);
    }
    return new CpuBackend(executor, init, counters);
  }

  private constructor(executor: Executor, init: CpuBackendInit, counters: Counters) {
    this.#executor = executor;
    this.#init = init;
    this.#counters = counters;
  }

  get adapter(): string {
    return this.#executor.adapter;
  }

  async kick(batch: StagedBatch): Promise<void> {
    const { geometry: g, memory } = this.#init;
    this.#inFlight++;
    Atomics.store(memory.cursors, batch.outputIndex, 0);
    try {
      const encodeBusyNs = await this.#executor.encode({
        stagingIndex: batch.stagingIndex,
        stagingEpoch: batch.stagingEpoch,
        outputIndex: batch.outputIndex,
        epochCount: batch.epochCount,
        lastEpochRows: batch.rowTo - batch.rowFrom - (batch.epochCount - 1) * g.epochRows,
        skippedEpochs: batch.skippedEpochs,
      });
      this.#finish(batch, encodeBusyNs);
    } finally {
      if (--this.#inFlight === 0) this.#idle?.();
    }
  }

  async close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await this.#executor.close();
  }

  /** Says where the chunks lie, and adds up what became of them. */
  #finish(batch: StagedBatch, busyNs: number): void {
    const sizes = this.#init.memory.sizes[batch.outputIndex];
    const offsets = this.#init.memory.offsets[batch.outputIndex];
    const { chunksPerEpoch, chunkStrideBytes } = this.#init.layout;
    const tasks = batch.epochCount * chunksPerEpoch;
    let encoded = 0;
    let bytes = 0;
    for (let task = 0; task < tasks; task++) {
      offsets[task] = task * chunkStrideBytes;
      if (sizes[task] !== 0) encoded++;
      bytes += sizes[task];
    }
    this.#counters.add("encodeNs", busyNs);
    this.#counters.add("encodeCount", 1);
    this.#counters.add("encodeInBytes", encoded * this.#init.geometry.chunkBytes);
    this.#counters.add("encodeOutBytes", bytes);
    this.#counters.add("chunksCpu", encoded);
  }
}
