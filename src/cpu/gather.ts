import { fillPattern } from "../base/fill_pattern.js";
import { product } from "../base/integers.js";
import type { GatherDescription, GatherHandle, NativeAddon } from "../native/addon.js";

/**
 * Copies one chunk out of an epoch slab; see {@link GatherDescription} for the formula. Any thread, one call at a time.
 */
export interface ChunkGather {
  gather(src: Uint8Array, srcOffset: number, extents: Uint32Array, dst: Uint8Array, dstOffset: number): void;
}

export function chunkGather(description: GatherDescription, addon: NativeAddon | undefined): ChunkGather {
  if (addon === undefined) return new TypeScriptGather(description);
  const handle: GatherHandle = addon.gatherCreate(description);
  return {
    gather: (src, srcOffset, extents, dst, dstOffset) => addon.gather(handle, src, srcOffset, extents, dst, dstOffset),
  };
}

/**
 * The oracle of the native gather, and what runs without it. Dimensions that are contiguous in both source and chunk
 * are walked as one run; a run is one TypedArray.set, so short runs cost far more than in the addon.
 */
export class TypeScriptGather implements ChunkGather {
  readonly #d: GatherDescription;
  readonly #rank: number;
  readonly #chunkBytes: number;
  /** Bytes between neighbours along each dimension of the chunk. */
  readonly #dstStrides: number[];
  readonly #at: number[];

  constructor(description: GatherDescription) {
    this.#d = description;
    this.#rank = description.chunkShape.length;
    this.#chunkBytes = product([...description.chunkShape, description.itemBytes]);
    this.#dstStrides = new Array(this.#rank);
    let stride = description.itemBytes;
    for (let k = this.#rank - 1; k >= 0; k--) {
      this.#dstStrides[k] = stride;
      stride *= description.chunkShape[k];
    }
    this.#at = new Array(this.#rank).fill(0);
  }

  gather(src: Uint8Array, srcOffset: number, extents: Uint32Array, dst: Uint8Array, dstOffset: number): void {
    const { chunkShape, srcStrides, itemBytes } = this.#d;
    const rank = this.#rank;
    let full = true;
    let empty = false;
    for (let k = 0; k < rank; k++) {
      if (extents[k] !== chunkShape[k]) full = false;
      if (extents[k] === 0) empty = true;
    }
    if (!full) this.#pad(dst, dstOffset);
    if (empty) return;

    // The run: the last dimension, and every slower one while both sides stay contiguous.
    let runDims = rank - 1;
    let runBytes = extents[rank - 1] * itemBytes;
    while (
      runDims > 0 &&
      extents[runDims] === chunkShape[runDims] &&
      srcStrides[runDims - 1] === runBytes &&
      this.#dstStrides[runDims - 1] === runBytes
    ) {
      runDims--;
      runBytes *= extents[runDims];
    }

    const at = this.#at.fill(0);
    let from = srcOffset;
    let to = dstOffset;
    for (;;) {
      dst.set(src.subarray(from, from + runBytes), to);
      let k = runDims - 1;
      for (; k >= 0; k--) {
        from += srcStrides[k];
        to += this.#dstStrides[k];
        if (++at[k] < extents[k]) break;
        from -= srcStrides[k] * extents[k];
        to -= this.#dstStrides[k] * extents[k];
        at[k] = 0;
      }
      if (k < 0) return;
    }
  }

  #pad(dst: Uint8Array, dstOffset: number): void {
    const { fill } = this.#d;
    const chunk = dst.subarray(dstOffset, dstOffset + this.#chunkBytes);
    fillPattern(chunk, fill);
  }
}
