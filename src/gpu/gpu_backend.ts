import { nowNs } from "../base/clock.js";
import { deferred } from "../base/deferred.js";
import { isMillraceError, MillraceError } from "../base/errors.js";
import type { CodecSpec } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { epochTable } from "../geometry/epoch_table.js";
import type { Backend, StagedBatch } from "../handoff/backend.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Counters } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import { type GpuLayout, gpuLayout, gpuLimitsNeeded, gpuMemory, OUTPUT_TOTAL_WORDS } from "../plan/gpu_layout.js";
import type { Ordering } from "../slots/ordering.js";
import type { GpuAdapterInfo } from "./adapter.js";
import { type DeviceLease, leaseDevice } from "./device_lease.js";
import { GpuEncoder, type GpuSlot, kernelPipelines } from "./gpu_encoder.js";
import type { GpuHost } from "./gpu_host.js";
import type { GpuMemory } from "./gpu_memory.js";
import { UploadRing } from "./upload_ring.js";

interface GpuBackendInit {
  readonly geometry: ArrayGeometry;
  readonly codec: CodecSpec;
  readonly fill: Uint8Array;
  readonly memory: GpuMemory;
  readonly epochsPerBatch: number;
  /** Batches on the device at once. */
  readonly gpuSlots: number;
  readonly allowSoftwareAdapter: boolean;
}

export interface GpuBackendLinks {
  readonly host: GpuHost;
  readonly addon: NativeAddon | undefined;
  readonly counters: Counters;
  readonly order: Ordering;
  /** What encodes when the device is lost. Opened once, then. */
  openFallback(): Promise<Backend>;
  warn(message: string): void;
}

/**
 * How long a closing backend waits for answers of its device that nobody wants any more. A device that is destroyed
 * gives them at once; one that hangs never does.
 */
const ANSWERS_MS = 2000;

/**
 * Encodes batches on a WebGPU device, and on the CPU what a device did not finish. The bytes are the same, so a batch
 * may be done again by the other: a staging slot is held until the encoded batch is in host memory, and whatever goes
 * wrong on the device before that (it is lost, an allocation fails, a command is refused) costs time and one warning,
 * no row. Thread: the engine's.
 */
export class GpuBackend implements Backend {
  readonly kind = "gpu";
  readonly adapter: string;
  readonly #init: GpuBackendInit;
  readonly #links: GpuBackendLinks;
  readonly #layout: GpuLayout;
  readonly #encoder: GpuEncoder;
  readonly #lease: DeviceLease;
  readonly #uploads: UploadRing;
  readonly #outputRegions: readonly number[];
  /** Slots of the device that nobody uses, and who waits for one, oldest first. */
  readonly #free: GpuSlot[];
  readonly #waiting: ((slot: GpuSlot) => void)[] = [];
  #generation = 0;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  /** Why the device is not used any more. */
  #lost: unknown;
  /** The stream was aborted. */
  #hurried = false;
  /** What is under way on the device, and stops being waited for when that is lost or the stream is aborted. */
  readonly #underWay = new Set<(reason: unknown) => void>();
  /** What the device was asked and has not answered, whether or not anybody waits for it. */
  readonly #unanswered = new Set<Promise<unknown>>();
  #fallback: Promise<Backend> | undefined;
  #closed: Promise<void> | undefined;
  #released: Promise<void> | undefined;
  readonly #unregisterExitHook: (() => void) | undefined;
  readonly #onUncaptured = (event: Event): void => this.#lose((event as GPUUncapturedErrorEvent).error);

  /**
   * Finds an adapter, makes a device, compiles the kernels and allocates all device memory.
   * @throws MillraceError BACKEND_UNAVAILABLE (no adapter, a limit too small, a kernel refused), DEVICE_OUT_OF_MEMORY
   */
  static async open(init: GpuBackendInit, links: GpuBackendLinks): Promise<GpuBackend> {
    const layout = gpuLayout(init.geometry, init.codec, init.epochsPerBatch);
    const lease = await leaseDevice(links.host, init.allowSoftwareAdapter, gpuLimitsNeeded(layout));
    let encoder: GpuEncoder | undefined;
    try {
      encoder = await createEncoder(lease, init, layout);
      return new GpuBackend(init, links, lease, encoder);
    } catch (error) {
      encoder?.destroy();
      lease.abandon();
      await lease.release();
      if (isMillraceError(error)) throw error;
      throw new MillraceError("BACKEND_UNAVAILABLE", `${lease.info.name} does not work: ${(error as Error).message}.`, {
        context: { adapter: lease.info.name },
        hint: "Use backend cpu. Electron forbids the external buffers with which the package webgpu maps memory.",
        cause: error,
      });
    }
  }

  private constructor(init: GpuBackendInit, links: GpuBackendLinks, lease: DeviceLease, encoder: GpuEncoder) {
    this.adapter = lease.info.name;
    this.#lease = lease;
    this.#init = init;
    this.#links = links;
    this.#layout = encoder.layout;
    this.#encoder = encoder;
    this.#free = [...encoder.slots];
    this.#uploads = new UploadRing(encoder.uploads, init.memory, links.addon);
    const { addon } = links;
    this.#outputRegions = addon === undefined ? [] : init.memory.output.map((slot) => addon.regionAdd(slot));
    void encoder.device.lost.then(({ reason, message }) => {
      if (this.#closed === undefined) this.#lose(new Error(`the device was lost (${reason}): ${message}`));
    });
    encoder.device.addEventListener("uncapturederror", this.#onUncaptured);
    this.#unregisterExitHook = links.host.atExit?.(() => this.#uploads.leave());
  }

  async kick(batch: StagedBatch): Promise<HostBatch> {
    this.#inFlight++;
    try {
      // Of a slot that is still filled in parts the mapped memory cannot be taken away: the CPU reads the slot itself.
      const isWhole = batch.stagingEpoch === 0 && !batch.slotIsOpen;
      if (isWhole && (this.#lost === undefined || this.#hurried)) {
        try {
          return await this.#encode(batch);
        } catch (error) {
          if (this.#hurried) throw error;
          this.#lose(error);
        }
      }
      return await (await this.#openFallback()).kick(batch);
    } finally {
      if (--this.#inFlight === 0) this.#idle?.();
    }
  }

  /**
   * A device that never answers holds up no abort: nobody but this thread copies into the slots, so it need not be
   * waited for.
   */
  hurry(): void {
    this.#hurried = true;
    this.#giveUp(givenUp());
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0) {
      const idle = deferred();
      this.#idle = idle.resolve;
      await idle.promise;
    }
    await this.#release().catch((error) => {
      // Of a device that is lost nothing more is expected: its rows went to the CPU.
      if (this.#lost === undefined) throw error;
    });
    await (await this.#fallback)?.close();
    for (const id of this.#outputRegions) this.#links.addon?.regionRemove(id);
  }

  /**
   * Takes the mapped memory away from the producer, ends every map, and only then lets the device go. The binding
   * aborts the process when a thread is torn down before the device has answered all that it was asked, so that is
   * waited for too.
   */
  #release(): Promise<void> {
    this.#released ??= (async () => {
      await this.#uploads.close();
      this.#encoder.destroy();
      this.#encoder.device.removeEventListener("uncapturederror", this.#onUncaptured);
      this.#unregisterExitHook?.();
      await this.#lease.release();
      await settledWithin(this.#unanswered, ANSWERS_MS);
    })();
    return this.#released;
  }

  async #encode(batch: StagedBatch): Promise<HostBatch> {
    const { geometry: g } = this.#init;
    const slot = await this.#acquire();
    try {
      this.#checkInUse();
      const fromNs = nowNs();
      const lastEpochRows = batch.rowTo - batch.rowFrom - (batch.epochCount - 1) * g.epochRows;
      const usedBytes = (batch.rowTo - batch.rowFrom) * g.rowBytes;
      const upload = await this.#uploads.take(batch.stagingIndex, usedBytes);
      this.#checkInUse();
      const generation = ++this.#generation >>> 0;
      const { epochCount, skippedEpochs } = batch;
      const { result: copied, accepted } = this.#watched(() =>
        this.#encoder.submit(slot, upload, { epochCount, lastEpochRows, skippedEpochs }, generation),
      );
      const remapped = this.#asked(this.#uploads.giveBack(batch.stagingIndex));
      await this.#mapped(slot, 0, copied, accepted);
      const bytes = await this.#readBack(batch, slot, copied, generation);
      // The producer's next bytes for this slot go into mapped memory: it is there before the slot is free.
      await this.#orGivenUp(remapped);
      this.#count(batch, nowNs() - fromNs, bytes);
      return {
        slotIndex: batch.outputIndex,
        generation: batch.outputGeneration,
        firstEpoch: batch.firstEpoch,
        epochCount: batch.epochCount,
        rowFrom: batch.rowFrom,
        rowTo: batch.rowTo,
        skippedEpochs: batch.skippedEpochs,
        encodeBusyNs: nowNs() - fromNs,
      };
    } finally {
      this.#giveBack(slot);
    }
  }

  /**
   * Runs `submit` and asks what the device has against it. Scopes belong to the device, which other streams use too:
   * they are closed whatever happens. A refused copy does not fail the map behind it, which then shows what an earlier
   * batch left there.
   */
  #watched<T>(submit: () => T): { readonly result: T; readonly accepted: Promise<void> } {
    const { device } = this.#encoder;
    device.pushErrorScope("validation");
    device.pushErrorScope("internal");
    device.pushErrorScope("out-of-memory");
    try {
      const result = submit();
      const accepted = this.#endScopes();
      accepted.catch(() => {});
      return { result, accepted };
    } catch (error) {
      this.#endScopes().catch(() => {});
      throw error;
    }
  }

  async #endScopes(): Promise<void> {
    const { device } = this.#encoder;
    const scopes = [0, 1, 2].map(() => this.#asked(device.popErrorScope()));
    for (const error of await Promise.all(scopes)) if (error !== null) throw new Error(error.message);
  }

  /** Resolves when that range of the readback buffer is mapped and the device has accepted what was to write it. */
  async #mapped(slot: GpuSlot, from: number, bytes: number, accepted: Promise<void>): Promise<void> {
    const mapped = this.#asked(slot.readback.mapAsync(1 /* READ */, from, bytes));
    // Both at once: a map that fails while the scopes are awaited would be an unhandled rejection.
    await this.#orGivenUp(Promise.all([mapped, accepted]));
    this.#checkInUse();
  }

  /** Copies tables and encoded chunks to the output slot; what lies past the first copy is fetched by a second one. */
  async #readBack(batch: StagedBatch, slot: GpuSlot, copied: number, generation: number): Promise<number> {
    const { layout } = this.#encoder;
    const { memory } = this.#init;
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
      const { accepted } = this.#watched(() => this.#encoder.submitRest(slot, from, to));
      await this.#mapped(slot, from, alignUp4(to) - from, accepted);
      mapped = new Uint8Array(slot.readback.getMappedRange(from, alignUp4(to) - from));
      this.#copyOut(batch.outputIndex, from - layout.dataAt, mapped, 0, to - from);
      slot.readback.unmap();
    }
    this.#encoder.learn(total);
    return total;
  }

  #copyOut(outputIndex: number, to: number, src: Uint8Array, from: number, bytes: number): void {
    const { addon } = this.#links;
    if (bytes === 0) return;
    if (addon === undefined) this.#init.memory.output[outputIndex].set(src.subarray(from, from + bytes), to);
    else addon.copy(this.#outputRegions[outputIndex], to, src, from, bytes);
  }

  /** POOL_CONSUMED: a slot of the device is handed on once its batch has been read back to the last byte. */
  async #acquire(): Promise<GpuSlot> {
    const slot = this.#free.shift();
    if (slot !== undefined) return slot;
    const { order } = this.#links;
    const [other] = this.#encoder.slots;
    const given = deferred<GpuSlot>();
    if (order.enforced("POOL_CONSUMED")) this.#waiting.push(given.resolve);
    return order.wait("POOL_CONSUMED", given.promise, other);
  }

  #giveBack(slot: GpuSlot): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(slot);
    else if (!this.#free.includes(slot)) this.#free.push(slot);
  }

  #checkInUse(): void {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#hurried) throw givenUp();
  }

  #asked<T>(answer: Promise<T>): Promise<T> {
    this.#unanswered.add(answer);
    const answered = (): void => void this.#unanswered.delete(answer);
    answer.then(answered, answered);
    return answer;
  }

  /** Waits for the device, but no longer than it is in use. */
  #orGivenUp<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject);
      answer.then(resolve, reject).finally(() => this.#underWay.delete(reject));
    });
  }

  #giveUp(reason: unknown): void {
    for (const reject of this.#underWay) reject(reason);
  }

  /** The first failure ends the device; what was under way and what comes goes to the CPU. */
  #lose(error: unknown): void {
    if (this.#lost !== undefined || this.#closed !== undefined) return;
    this.#lost = error ?? new Error("unknown");
    const why = error instanceof Error ? error.message : String((error as GPUError)?.message ?? error);
    this.#links.warn(
      `the GPU (${this.adapter}) failed and the CPU goes on with the same bytes; nothing was lost. ${firstLine(why)}`,
    );
    this.#lease.abandon();
    // Also of a map that is never answered. Mapped staging is taken from the producer before the buffers go.
    this.#giveUp(this.#lost);
    this.#release().catch(() => {});
  }

  #openFallback(): Promise<Backend> {
    this.#fallback ??= this.#links.openFallback();
    return this.#fallback;
  }

  #count(batch: StagedBatch, busyNs: number, bytes: number): void {
    const { counters } = this.#links;
    const sizes = this.#init.memory.sizes[batch.outputIndex];
    const tasks = batch.epochCount * this.#layout.chunksPerEpoch;
    let encoded = 0;
    for (let task = 0; task < tasks; task++) if (sizes[task] !== 0) encoded++;
    counters.add("encodeNs", busyNs);
    counters.add("encodeCount", 1);
    counters.add("encodeInBytes", encoded * this.#layout.chunkBytes);
    counters.add("encodeOutBytes", bytes);
    counters.add("chunksGpu", encoded);
  }
}

/** Resolves when all of them have settled, and after `limitMs` in any case. */
async function settledWithin(promises: Iterable<Promise<unknown>>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([Promise.allSettled(promises), limit]);
  clearTimeout(timer);
}

function alignUp4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function givenUp(): MillraceError {
  return new MillraceError("WRITER_ABORTED", "the batch was given up, because the writer was aborted.");
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0];
}

/** Makes the encoder and turns what WebGPU has against it into an error that names the way out. */
async function createEncoder(lease: DeviceLease, init: GpuBackendInit, layout: GpuLayout): Promise<GpuEncoder> {
  const { device, info } = lease;
  const { geometry, fill, gpuSlots } = init;
  const stagingSlots = init.memory.staging.length;
  // Compiled before the scopes are open: they belong to the device, and other streams may be at work on it.
  const pipelines = await kernelPipelines(lease, layout).catch((error) => {
    throw isMillraceError(error) ? error : refusedKernels(info, error);
  });
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("internal");
  device.pushErrorScope("validation");
  let encoder: GpuEncoder | undefined;
  let failure: unknown;
  try {
    const table = epochTable(geometry);
    encoder = new GpuEncoder(lease, { geometry, table, layout, fill, stagingSlots, gpuSlots }, pipelines);
  } catch (error) {
    failure = error;
  }
  const scopes = [device.popErrorScope(), device.popErrorScope(), device.popErrorScope()];
  const [refused, internal, outOfMemory] = await Promise.all(scopes);
  const error = failure ?? refused ?? internal;
  // A mapped buffer for which there is no memory throws; one on the device reports.
  if (outOfMemory !== null || failure instanceof RangeError) {
    encoder?.destroy();
    throw outOfDeviceMemory(info, layout, gpuMemory(layout, stagingSlots, gpuSlots), outOfMemory ?? failure);
  }
  if (encoder === undefined || error !== null) {
    encoder?.destroy();
    throw refusedKernels(info, error);
  }
  return encoder;
}

function refusedKernels(info: GpuAdapterInfo, error: unknown): MillraceError {
  const message = (error as { message?: string } | null)?.message ?? String(error);
  return new MillraceError("BACKEND_UNAVAILABLE", `${info.name} refuses the kernels: ${message}`, {
    context: { adapter: info.name },
    hint: "Use backend cpu, and report this with the adapter's name.",
    cause: error,
  });
}

function outOfDeviceMemory(
  info: GpuAdapterInfo,
  layout: GpuLayout,
  { deviceBytes, hostBytes }: ReturnType<typeof gpuMemory>,
  cause: unknown,
): MillraceError {
  const { epochsPerBatch } = layout;
  return new MillraceError(
    "DEVICE_OUT_OF_MEMORY",
    `batches of ${epochsPerBatch} epochs need ${deviceBytes} bytes of device memory and ${hostBytes} bytes of ` +
      `host-visible memory; ${info.name} could not allocate them.`,
    {
      context: { adapter: info.name, deviceBytes, hostBytes, epochsPerBatch },
      hint:
        epochsPerBatch > 1
          ? `Set batchEpochs to ${Math.ceil(epochsPerBatch / 2)}, which takes half.`
          : "Make chunk of the append dimension smaller, or use backend cpu.",
      cause,
    },
  );
}
