import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dot, increment, ravel, strides, unravel } from "../../../src/geometry/mixed_radix.js";
import { coordinatesOf } from "./geometries.js";

const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 5 });

describe("mixed radix", () => {
  it("counts in C order: the n-th coordinates ravel to n and n unravels to them", () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        let n = 0;
        const counted = shape.map(() => 0);
        for (const coordinates of coordinatesOf(shape)) {
          expect(counted).toEqual(coordinates);
          expect(ravel(coordinates, shape)).toBe(n);
          expect(unravel(n, shape)).toEqual(coordinates);
          expect(dot(coordinates, strides(shape))).toBe(n);
          n++;
          expect(increment(counted, shape)).toBe(n < shape.reduce((a, b) => a * b, 1));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("gives strides in the unit asked for", () => {
    expect(strides([4, 3, 5], 2)).toEqual([30, 10, 2]);
    expect(strides([7])).toEqual([1]);
    expect(strides([])).toEqual([]);
  });

  it("does not count the first size into a stride, which may be too large to multiply", () => {
    expect(strides([Number.MAX_SAFE_INTEGER, 2])).toEqual([2, 1]);
    expect(() => strides([1, 2 ** 40, 2 ** 40])).toThrow(expect.objectContaining({ code: "BAD_GEOMETRY" }));
  });

  it("stays exact near 2^53", () => {
    const shape = [2 ** 20, 2 ** 32 - 5];
    const last = shape[0] * shape[1] - 1;
    expect(unravel(last, shape)).toEqual([shape[0] - 1, shape[1] - 1]);
    expect(ravel([shape[0] - 1, shape[1] - 1], shape)).toBe(last);
  });

  it("asserts what lies outside", () => {
    for (const wrong of [
      () => ravel([3], [3]),
      () => ravel([-1], [3]),
      () => ravel([1], [3, 3]),
      () => unravel(9, [3, 3]),
      () => unravel(-1, [3]),
    ]) {
      expect(wrong).toThrow(expect.objectContaining({ code: "INTERNAL" }));
    }
  });
});
