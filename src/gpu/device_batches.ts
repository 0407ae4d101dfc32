import { nowNs } from "../base/clock.js";
import { deferred } from "../base/deferred.js";
import type { StagedBatch } from "../handoff/backend.js";
import type { Counters } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import { OUTPUT_TOTAL_WORDS } from "../plan/gpu_layout.js";
import type { Ordering } from "../slots/ordering.js";
import type { DeviceWatch } from "./device_watch.js";
import type { GpuEncoder, GpuSlot } from "./gpu_encoder.js";
import type { GpuMemory } from "./gpu_memory.js";
import type { UploadRing } from "./upload_ring.js";

interface DeviceBatchesInit {
  readonly encoder: GpuEncoder;
  readonly watch: DeviceWatch;
  readonly uploads: UploadRing;
  readonly memory: GpuMemory;
  readonly addon: NativeAddon | undefined;
  readonly counters: Counters;
  readonly order: Ordering;
  /** Rows of an epoch. */
  readonly epochRows: number;
  readonly rowBytes: number;
}

/**
 * The way of a batch over a device: from its staging slot through a slot of the device into its output slot. As many
 * are on it at once as the device has slots. Engine's thread.
 */
export class DeviceBatches {
  readonly #init: DeviceBatchesInit;
  readonly #outputRegions: readonly number[];
  /** Slots of the device that nobody uses, and who waits for one, oldest first. */
  readonly #free: GpuSlot[];
  readonly #waiting: ((slot: GpuSlot) => void)[] = [];
  #generation = 0;

  constructor(init: DeviceBatchesInit) {
    this.#init = init;
    this.#free = [...init.encoder.slots];
    const { addon, memory } = init;
    this.#outputRegions = addon === undefined ? [] : memory.output.map((slot) => addon.regionAdd(slot));
  }

  /**
   * Rejects with whatever goes wrong on the device; the staging slot is then as it was, and what the output slot holds
   * is nothing.
   */
  async encode(batch: StagedBatch): Promise<void> {
    const { encoder, watch, uploads, epochRows, rowBytes } = this.#init;
    const slot = await this.#acquire();
    try {
      watch.check();
      const fromNs = nowNs();
      const lastEpochRows = batch.rowTo - batch.rowFrom - (batch.epochCount - 1) * epochRows;
      const usedBytes = (batch.rowTo - batch.rowFrom) * rowBytes;
      const upload = await uploads.take(batch.stagingIndex, usedBytes);
      watch.check();
      const generation = ++this.#generation >>> 0;
      const { epochCount, skippedEpochs } = batch;
      const { result: copied, accepted } = watch.scoped(() =>
        encoder.submit(slot, upload, { epochCount, lastEpochRows, skippedEpochs }, generation),
      );
      const remapped = watch.asked(uploads.giveBack(batch.stagingIndex));
      await this.#mapped(slot, 0, copied, accepted);
      const bytes = await this.#readBack(batch, slot, copied, generation);
      // The producer's next bytes for this slot go into mapped memory: it is there before the slot is free.
      await watch.wait(remapped);
      this.#count(batch, nowNs() - fromNs, bytes);
    } finally {
      this.#giveBack(slot);
    }
  }

  /** The output slots are not touched any more. */
  close(): void {
    for (const id of this.#outputRegions) this.#init.addon?.regionRemove(id);
  }

  /** Resolves when that range of the readback buffer is mapped and the device has accepted what was to write it. */
  async #mapped(slot: GpuSlot, from: number, bytes: number, accepted: Promise<void>): Promise<void> {
    const { watch } = this.#init;
    const mapped = watch.asked(slot.readback.mapAsync(1 /* READ */, from, bytes));
    // Both at once: a map that fails while the scopes are awaited would be an unhandled rejection.
    await watch.wait(Promise.all([mapped, accepted]));
    watch.check();
  }

  /** Copies tables and encoded chunks to the output slot; what lies past the first copy is fetched by a second one. */
  async #readBack(batch: StagedBatch, slot: GpuSlot, copied: number, generation: number): Promise<number> {
    const { encoder, memory, watch } = this.#init;
    const { layout } = encoder;
    const taskCount = batch.epochCount * layout.chunksPerEpoch;
    let mapped = new Uint8Array(slot.readback.getMappedRange(0, copied));
    const words = new Uint32Array(mapped.buffer, mapped.byteOffset, OUTPUT_TOTAL_WORDS + 2 * taskCount);
    const [total, echo] = words;
    if (echo !== generation || total > layout.dataBytesMax) {
      slot.readback.unmap();
      throw new Error(`the device gave back batch ${echo} with ${total} bytes instead of batch ${generation}`);
    }
    memory.sizes[batch.outputIndex].set(words.subarray(OUTPUT_TOTAL_WORDS, OUTPUT_TOTAL_WORDS + taskCount));
    memory.offsets[batch.outputIndex].set(words.subarray(OUTPUT_TOTAL_WORDS + taskCount));
    const first = Math.min(total, copied - layout.dataAt);
    this.#copyOut(batch.outputIndex, 0, mapped, layout.dataAt, first);
    slot.readback.unmap();
    if (first < total) {
      // Ranges that are mapped or copied begin at multiples of 8.
      const from = Math.floor((layout.dataAt + first) / 8) * 8;
      const to = layout.dataAt + total;
      const { accepted } = watch.scoped(() => encoder.submitRest(slot, from, to));
      await this.#mapped(slot, from, alignUp4(to) - from, accepted);
      mapped = new Uint8Array(slot.readback.getMappedRange(from, alignUp4(to) - from));
      this.#copyOut(batch.outputIndex, from - layout.dataAt, mapped, 0, to - from);
      slot.readback.unmap();
    }
    encoder.learn(total);
    return total;
  }

  #copyOut(outputIndex: number, to: number, src: Uint8Array, from: number, bytes: number): void {
    const { addon, memory } = this.#init;
    if (bytes === 0) return;
    if (addon === undefined) memory.output[outputIndex].set(src.subarray(from, from + bytes), to);
    else addon.copy(this.#outputRegions[outputIndex], to, src, from, bytes);
  }

  /** POOL_CONSUMED: a slot of the device is handed on once its batch has been read back to the last byte. */
  async #acquire(): Promise<GpuSlot> {
    const slot = this.#free.shift();
    if (slot !== undefined) return slot;
    const { encoder, order } = this.#init;
    const [other] = encoder.slots;
    const given = deferred<GpuSlot>();
    if (order.enforced("POOL_CONSUMED")) this.#waiting.push(given.resolve);
    return order.waitFor("POOL_CONSUMED", given.promise, other);
  }

  #giveBack(slot: GpuSlot): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(slot);
    else if (!this.#free.includes(slot)) this.#free.push(slot);
  }

  #count(batch: StagedBatch, busyNs: number, bytes: number): void {
    const { counters, encoder, memory } = this.#init;
    const sizes = memory.sizes[batch.outputIndex];
    const tasks = batch.epochCount * encoder.layout.chunksPerEpoch;
    let encoded = 0;
    for (let task = 0; task < tasks; task++) if (sizes[task] !== 0) encoded++;
    counters.add("encodeNs", busyNs);
    counters.add("encodeCount", 1);
    counters.add("encodeInBytes", encoded * encoder.layout.chunkBytes);
    counters.add("encodeOutBytes", bytes);
    counters.add("chunksGpu", encoded);
  }
}

function alignUp4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
