import type { NativeAddon } from "../native/addon.js";

/**
 * Copies the caller's bytes into staging slots. Synchronous: every byte is in place when `copy` returns
 * (STAGING_COPIED).
 */
export interface Copier {
  /** What does the copying: "native, 1 helper" or "typescript". */
  readonly description: string;
  copy(slotIndex: number, dstOffset: number, src: Uint8Array, srcOffset: number, length: number): void;
  /** Ends helpers and forgets the slots. Idempotent. */
  close(): void;
}

/**
 * Below this many bytes one TypedArray.set is faster than a call into the addon and its region table. The addon has a
 * threshold of its own, far above, from which helpers take part.
 */
const NATIVE_COPY_MIN_BYTES = 32 * 1024;

export function openCopier(slots: readonly Uint8Array[], addon: NativeAddon | undefined, helpers: number): Copier {
  return addon === undefined || helpers === 0 ? new TypeScriptCopier(slots) : new NativeCopier(slots, addon, helpers);
}

class TypeScriptCopier implements Copier {
  readonly description: string = "typescript";
  protected readonly slots: readonly Uint8Array[];

  constructor(slots: readonly Uint8Array[]) {
    this.slots = slots;
  }

  copy(slotIndex: number, dstOffset: number, src: Uint8Array, srcOffset: number, length: number): void {
    // A subarray costs as much as copying 512 bytes; small appends that fit whole do without.
    const part = length === src.byteLength ? src : src.subarray(srcOffset, srcOffset + length);
    this.slots[slotIndex].set(part, dstOffset);
  }

  close(): void {}
}

class NativeCopier extends TypeScriptCopier {
  override readonly description: string;
  readonly #addon: NativeAddon;
  readonly #regions: number[];
  #open = true;

  constructor(slots: readonly Uint8Array[], addon: NativeAddon, helpers: number) {
    super(slots);
    this.#addon = addon;
    this.#regions = slots.map((slot) => addon.regionAdd(slot));
    const running = addon.copyStart(helpers);
    this.description = `native, ${running} ${running === 1 ? "helper" : "helpers"}`;
  }

  override copy(slotIndex: number, dstOffset: number, src: Uint8Array, srcOffset: number, length: number): void {
    if (length < NATIVE_COPY_MIN_BYTES) super.copy(slotIndex, dstOffset, src, srcOffset, length);
    else this.#addon.copy(this.#regions[slotIndex], dstOffset, src, srcOffset, length);
  }

  override close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#addon.copyStop();
    for (const id of this.#regions) this.#addon.regionRemove(id);
  }
}
