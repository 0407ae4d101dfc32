import type { NativeAddon } from "../native/addon.js";
import type { GpuMemory } from "./gpu_memory.js";

/** How often a region that a copy still uses is asked for again, ms. */
const BUSY_RETRY_MS = 1;

/**
 * The device's mapped memory, one buffer a staging slot. While a slot is filled its buffer is mapped and stands in the
 * addon's table of regions, so that the producer's copies go straight into it; a kick takes it out of the table, copies
 * what is not there yet, and unmaps it. The engine maps it again; the producer never waits for that. Thread: the
 * engine's.
 */
export class UploadRing {
  readonly #buffers: readonly GPUBuffer[];
  readonly #memory: GpuMemory;
  readonly #addon: NativeAddon | undefined;
  /** The mapped bytes of each buffer. A range can be asked for once a mapping only; detached once unmapped. */
  readonly #views: Uint8Array[] = [];
  /** Settles when the buffer is mapped. */
  readonly #mapped: Promise<void>[];
  #closed = false;

  /**
   * `buffers` are mapped already. Throws where their memory cannot be reached: Electron forbids the package webgpu to
   * show it.
   */
  constructor(buffers: readonly GPUBuffer[], memory: GpuMemory, addon: NativeAddon | undefined) {
    this.#buffers = buffers;
    this.#memory = memory;
    this.#addon = addon;
    this.#mapped = buffers.map(() => Promise.resolve());
    try {
      for (let i = 0; i < buffers.length; i++) this.#lend(i);
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
  }

  /** The buffer of a staging slot, unmapped and holding the slot's first `bytes` bytes. */
  async take(index: number, bytes: number): Promise<GPUBuffer> {
    const { staging, mirroredBytes } = this.#memory;
    await this.#mapped[index];
    await this.#takeBack(index);
    const buffer = this.#buffers[index];
    const done = Math.min(bytes, mirroredBytes[index]);
    if (done < bytes) this.#views[index].set(staging[index].subarray(done, bytes), done);
    buffer.unmap();
    return buffer;
  }

  /** After the submit that reads it: maps the buffer again. Resolves when the producer's copies may go into it. */
  giveBack(index: number): Promise<void> {
    const mapped = this.#buffers[index].mapAsync(2 /* WRITE */).then(() => {
      if (!this.#closed) this.#lend(index);
    });
    this.#mapped[index] = mapped;
    mapped.catch(() => {});
    return mapped;
  }

  /** Takes everything away from the producer. Maps that are pending settle when the device goes. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (let i = 0; i < this.#buffers.length; i++) await this.#takeBack(i);
  }

  /** The process leaves, and mapped memory goes with the device: the producer, on this very thread, copies no more. */
  leave(): void {
    this.#closed = true;
    const { mirrorRegions } = this.#memory;
    for (const region of mirrorRegions) if (region !== 0) this.#addon?.regionRemove(region);
    mirrorRegions.fill(0);
  }

  #lend(index: number): void {
    this.#views[index] = new Uint8Array(this.#buffers[index].getMappedRange());
    this.#memory.mirroredBytes[index] = 0;
    if (this.#addon !== undefined) this.#memory.mirrorRegions[index] = this.#addon.regionAdd(this.#views[index]);
  }

  /** The region leaves the table: from here on the producer's copies for it are refused. */
  async #takeBack(index: number): Promise<void> {
    const { mirrorRegions } = this.#memory;
    const region = mirrorRegions[index];
    if (region === 0) return;
    mirrorRegions[index] = 0;
    for (;;) {
      try {
        this.#addon?.regionRemove(region);
        return;
      } catch (error) {
        // A copy is in it, which only happens when the device goes away under a producer that fills: it ends within
        // milliseconds.
        if ((error as { code?: string }).code !== "NATIVE_REGION_BUSY") throw error;
        await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
      }
    }
  }
}
