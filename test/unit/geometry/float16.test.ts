import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHalfBits, toHalfBits } from "../../../src/geometry/float16.js";

describe("float16", () => {
  it("gives the number that the format's definition gives, for all 65536 patterns", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      const sign = bits >> 15 ? -1 : 1;
      const e = (bits >> 10) & 31;
      const f = (bits & 1023) / 1024;
      const expected = e === 31 ? (f === 0 ? Infinity : NaN) : e === 0 ? 2 ** -14 * f : 2 ** (e - 15) * (1 + f);
      if (!Object.is(fromHalfBits(bits), sign * expected)) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it("returns every pattern that is not a NaN to itself", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = fromHalfBits(bits);
      if (toHalfBits(value) !== (Number.isNaN(value) ? 0x7e00 : bits)) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it("rounds between every two neighbours to the nearer one, ties to the even pattern", () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x7bff; bits++) {
      // The sum is exact in a double, so this is the true midpoint.
      const middle = (fromHalfBits(bits) + fromHalfBits(bits + 1)) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const step = middle * 2 ** -52;
      const given = [middle, middle - step, middle + step, -middle].map(toHalfBits);
      if (given.join() !== [even, bits, bits + 1, 0x8000 | even].join()) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });

  it("does not round twice: just above a tie that float32 would round onto", () => {
    const tie = 1 + 2 ** -11;
    expect(Math.fround(tie + 2 ** -30)).toBe(tie);
    expect(toHalfBits(tie)).toBe(0x3c00);
    expect(toHalfBits(tie + 2 ** -30)).toBe(0x3c01);
  });

  it.each([
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [1e300, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    [5e-324, 0],
    [2 ** -25, 0],
    [2 ** -25 * (1 + 2 ** -52), 1],
    [-0, 0x8000],
    [Number.NaN, 0x7e00],
  ])("%d becomes %i", (value, bits) => {
    expect(toHalfBits(value)).toBe(bits);
  });

  it("keeps order", () => {
    const finite = fc.double({ noNaN: true, min: -70000, max: 70000 });
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const [x, y] = [fromHalfBits(toHalfBits(a)), fromHalfBits(toHalfBits(b))];
        expect(a <= b ? x <= y : x >= y).toBe(true);
      }),
    );
  });
});
