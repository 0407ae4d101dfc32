import type { NativeAddon } from "../native/addon.js";

/** What is copied on at once: enough to be worth a call, and still in a core's cache from the copy into the slot. */
const STEP_BYTES = 256 * 1024;

/** Shared with the engine; one entry a staging slot. */
interface MirrorMemory {
  readonly staging: readonly Uint8Array[];
  /** 0: there is no mapped memory, and the engine copies by itself. */
  readonly mirrorRegions: Float64Array;
  readonly mirroredBytes: Float64Array;
}

/**
 * Copies what arrives in a staging slot on to the device's mapped memory, which belongs to the engine's thread and is
 * reached through the addon's table of regions. The slot itself keeps the bytes until the encoded batch is back: a
 * device can be lost, and memory that was unmapped for it cannot be read again. Producer's thread.
 */
export class Mirror {
  readonly #slots: readonly Uint8Array[];
  readonly #addon: NativeAddon;
  readonly #regions: Float64Array;
  readonly #mirroredBytes: Float64Array;

  constructor(memory: MirrorMemory, addon: NativeAddon) {
    this.#slots = memory.staging;
    this.#addon = addon;
    this.#regions = memory.mirrorRegions;
    this.#mirroredBytes = memory.mirroredBytes;
  }

  /**
   * The slot is empty, and its mapped memory still there: the last batches of the slot may not have gone through it.
   */
  begin(slotIndex: number): void {
    this.#mirroredBytes[slotIndex] = 0;
  }

  /** The first `position` bytes of the slot are there to stay. With `all` none of them waits for more. */
  upTo(slotIndex: number, position: number, all: boolean): void {
    const from = this.#mirroredBytes[slotIndex];
    const length = position - from;
    const region = this.#regions[slotIndex];
    if (region === 0 || length <= 0 || (length < STEP_BYTES && !all)) return;
    try {
      this.#addon.copy(region, from, this.#slots[slotIndex], from, length);
      this.#mirroredBytes[slotIndex] = position;
    } catch (error) {
      // The device went away between the look at the table and the copy; the CPU reads the slot itself.
      if ((error as { code?: string }).code !== "NATIVE_REGION_UNKNOWN") throw error;
    }
  }
}
