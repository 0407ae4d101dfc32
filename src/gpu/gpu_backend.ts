import { deferred } from "../base/deferred.js";
import { isMillraceError, MillraceError } from "../base/errors.js";
import type { CodecSpec } from "../codec/codec.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { Backend, StagedBatch } from "../handoff/backend.js";
import type { Counters } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import { gpuLayout, gpuLimitsNeeded } from "../plan/gpu_layout.js";
import type { Ordering } from "../slots/ordering.js";
import { DeviceBatches } from "./device_batches.js";
import { type DeviceLease, leaseDevice } from "./device_lease.js";
import { DeviceWatch } from "./device_watch.js";
import type { GpuEncoder } from "./gpu_encoder.js";
import type { GpuHost } from "./gpu_host.js";
import type { GpuMemory } from "./gpu_memory.js";
import { openEncoder } from "./open_encoder.js";
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
 * Routes batches to a WebGPU device, and to the CPU what a device did not finish. The bytes are the same, so a batch
 * may be done again by the other: a staging slot is held until the encoded batch is in host memory, and whatever goes
 * wrong on the device before that (it is lost, an allocation fails, a command is refused) costs time and one warning,
 * no row. Thread: the engine's.
 */
export class GpuBackend implements Backend {
  readonly kind = "gpu";
  readonly adapter: string;
  readonly #links: GpuBackendLinks;
  readonly #encoder: GpuEncoder;
  readonly #lease: DeviceLease;
  readonly #uploads: UploadRing;
  readonly #watch: DeviceWatch;
  readonly #batches: DeviceBatches;
  #inFlight = 0;
  #idle: (() => void) | undefined;
  /** Why the device is not used any more. */
  #lost: unknown;
  /** The stream was aborted. */
  #hurried = false;
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
    const { geometry, fill, gpuSlots, memory } = init;
    const layout = gpuLayout(geometry, init.codec, init.epochsPerBatch);
    const lease = await leaseDevice(links.host, init.allowSoftwareAdapter, gpuLimitsNeeded(layout));
    let encoder: GpuEncoder | undefined;
    try {
      encoder = await openEncoder(lease, layout, { geometry, fill, stagingSlots: memory.staging.length, gpuSlots });
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
    this.#links = links;
    this.#encoder = encoder;
    this.#watch = new DeviceWatch(encoder.device);
    const { addon, counters, order } = links;
    const { memory, geometry: g } = init;
    this.#uploads = new UploadRing(encoder.uploads, memory, addon);
    this.#batches = new DeviceBatches({
      encoder,
      watch: this.#watch,
      uploads: this.#uploads,
      memory,
      addon,
      counters,
      order,
      epochRows: g.epochRows,
      rowBytes: g.rowBytes,
    });
    void encoder.device.lost.then(({ reason, message }) => {
      if (this.#closed === undefined) this.#lose(new Error(`the device was lost (${reason}): ${message}`));
    });
    encoder.device.addEventListener("uncapturederror", this.#onUncaptured);
    this.#unregisterExitHook = links.host.atExit?.(() => this.#uploads.leave());
  }

  async kick(batch: StagedBatch): Promise<void> {
    this.#inFlight++;
    try {
      // Of a slot that is still filled in parts the mapped memory cannot be taken away: the CPU reads the slot itself.
      const isWhole = batch.stagingEpoch === 0 && !batch.slotIsOpen;
      if (isWhole && (this.#lost === undefined || this.#hurried)) {
        try {
          return await this.#batches.encode(batch);
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
    this.#watch.giveUp(new MillraceError("WRITER_ABORTED", "the batch was given up, because the writer was aborted."));
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
    this.#batches.close();
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
      await this.#watch.answered(ANSWERS_MS);
    })();
    return this.#released;
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
    this.#watch.giveUp(this.#lost);
    this.#release().catch(() => {});
  }

  #openFallback(): Promise<Backend> {
    this.#fallback ??= this.#links.openFallback();
    return this.#fallback;
  }
}

/** Of what a device says, which may begin with an empty line. */
function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0];
}
