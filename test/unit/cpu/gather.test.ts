import fc from "fast-check";
import { expect, it } from "vitest";
import { chunkGather, TypeScriptGather } from "../../../src/cpu/gather.js";
import type { GatherDescription } from "../../../src/native/addon.js";
import { loadAddon } from "../../../src/native/binding.js";

const addon = loadAddon();

/** Chunks of a row-major slab, cut off at its edge. */
const cases = fc
  .array(fc.record({ size: fc.integer({ min: 1, max: 7 }), chunk: fc.integer({ min: 1, max: 7 }), at: fc.nat(6) }), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((dims) => fc.record({ dims: fc.constant(dims), itemBytes: fc.constantFrom(1, 2, 4, 8), fill: fc.nat(255) }));

/** Element by element, by index. */
function naive(d: GatherDescription, src: Uint8Array, srcOffset: number, extents: Uint32Array): Uint8Array {
  const elements = d.chunkShape.reduce((a, b) => a * b, 1);
  const out = new Uint8Array(elements * d.itemBytes);
  for (let i = 0; i < elements; i++) {
    let rest = i;
    let from = srcOffset;
    let inside = true;
    for (let k = d.chunkShape.length - 1; k >= 0; k--) {
      const index = rest % d.chunkShape[k];
      rest = Math.floor(rest / d.chunkShape[k]);
      if (index >= extents[k]) inside = false;
      from += index * d.srcStrides[k];
    }
    out.set(inside ? src.subarray(from, from + d.itemBytes) : d.fill, i * d.itemBytes);
  }
  return out;
}

it("gathers what the formula says, with and without the addon", () => {
  fc.assert(
    fc.property(cases, ({ dims, itemBytes, fill }) => {
      const strides: number[] = [];
      let bytes = itemBytes;
      for (let k = dims.length - 1; k >= 0; k--) {
        strides[k] = bytes;
        bytes *= dims[k].size;
      }
      const src = Uint8Array.from({ length: bytes }, (_, i) => (i * 37 + (i >> 8)) & 255);
      const description: GatherDescription = {
        itemBytes,
        chunkShape: Uint32Array.from(dims, (d) => d.chunk),
        srcStrides: Float64Array.from(strides),
        fill: Uint8Array.from({ length: itemBytes }, (_, i) => fill ^ i),
      };
      const start = dims.map((d) => d.at % d.size);
      const extents = Uint32Array.from(dims, (d, k) => Math.min(d.chunk, d.size - start[k]));
      const srcOffset = start.reduce((sum, at, k) => sum + at * strides[k], 0);
      const expected = naive(description, src, srcOffset, extents);
      const gathers = [new TypeScriptGather(description), chunkGather(description, addon)];
      for (const gather of gathers) {
        const dst = new Uint8Array(expected.byteLength + 16).fill(0xee);
        gather.gather(src, srcOffset, extents, dst, 8);
        expect(Buffer.compare(dst.subarray(8, -8), expected)).toBe(0);
        expect([...dst.subarray(0, 8), ...dst.subarray(-8)]).toEqual(new Array(16).fill(0xee));
      }
    }),
    { numRuns: 300 },
  );
});

it("writes only padding where no element is inside", () => {
  const description: GatherDescription = {
    itemBytes: 2,
    chunkShape: Uint32Array.of(2, 3),
    srcStrides: Float64Array.of(6, 2),
    fill: Uint8Array.of(1, 2),
  };
  for (const gather of [new TypeScriptGather(description), chunkGather(description, addon)]) {
    const dst = new Uint8Array(12);
    gather.gather(new Uint8Array(12).fill(9), 0, Uint32Array.of(0, 3), dst, 0);
    expect([...dst]).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
  }
});
