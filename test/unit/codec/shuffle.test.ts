import { describe, expect, it } from "vitest";
import { decodeLz4Block } from "../../../src/codec/lz4_block.js";
import { bitUnshuffle, unshuffle } from "../../../src/codec/shuffle.js";
import { noise } from "./bytes.js";

describe("unshuffle", () => {
  it.each([1, 2, 3, 4, 6, 8, 12, 15])(
    "puts the planes of %i-byte elements back, and leaves the rest behind them",
    (typesize) => {
      for (const length of [0, 1, typesize, 7 * typesize, 100 * typesize + typesize - 1]) {
        const elements = noise(length, typesize);
        const count = Math.floor(length / typesize);
        const planes = elements.slice();
        for (let i = 0; i < count; i++)
          for (let b = 0; b < typesize; b++) planes[b * count + i] = elements[i * typesize + b];
        // Aligned or not: words are written where they can be.
        for (const at of [0, 1, 2]) {
          const result = new Uint8Array(length + at).subarray(at);
          unshuffle(planes, result, typesize);
          expect([...result]).toEqual([...elements]);
        }
      }
    },
  );
});

describe("bitUnshuffle", () => {
  it.each([1, 2, 4])("puts the bit planes of %i-byte elements back", (typesize) => {
    const elements = noise(48 * typesize + typesize - 1, typesize);
    const planes = elements.slice();
    planes.fill(0, 0, 48 * typesize);
    for (let i = 0; i < 48; i++) {
      for (let b = 0; b < typesize; b++) {
        for (let k = 0; k < 8; k++) {
          const bit = (elements[i * typesize + b] >> k) & 1;
          planes[(8 * b + k) * 6 + (i >> 3)] |= bit << (i & 7);
        }
      }
    }
    const result = new Uint8Array(elements.length);
    bitUnshuffle(planes, result, typesize);
    expect([...result]).toEqual([...elements]);
  });
  it("leaves a block alone whose element count is no multiple of eight", () => {
    const src = noise(26);
    const result = new Uint8Array(26);
    bitUnshuffle(src, result, 2);
    expect([...result]).toEqual([...src]);
  });
});

describe("decodeLz4Block", () => {
  it("copies literals and overlapping matches", () => {
    // "ab", then 7 bytes from 2 back, then the literal "z".
    const dst = new Uint8Array(10);
    expect(decodeLz4Block(Uint8Array.of(0x23, 97, 98, 2, 0, 0x10, 122), dst)).toBeUndefined();
    expect(Buffer.from(dst).toString()).toBe("ababababaz");
  });
  it("says what is wrong", () => {
    const dst = new Uint8Array(10);
    expect(decodeLz4Block(Uint8Array.of(0x20, 97), dst)).toMatch(/literals reach past/);
    expect(decodeLz4Block(Uint8Array.of(0xf0, 255), dst)).toMatch(/literal length/);
    expect(decodeLz4Block(Uint8Array.of(0x10, 97, 1), dst)).toMatch(/offset is cut/);
    expect(decodeLz4Block(Uint8Array.of(0x10, 97, 2, 0, 0), dst)).toMatch(/before the block/);
    expect(decodeLz4Block(Uint8Array.of(0x10, 97, 0, 0, 0), dst)).toMatch(/before the block/);
    expect(decodeLz4Block(Uint8Array.of(0x1f, 97, 1, 0), dst)).toMatch(/match length/);
    expect(decodeLz4Block(Uint8Array.of(0x1f, 97, 1, 0, 200), dst)).toMatch(/more than was expected/);
    expect(decodeLz4Block(Uint8Array.of(0x10, 97), dst)).toMatch(/1 bytes, expected 10/);
  });
});
