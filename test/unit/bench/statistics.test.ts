import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gbPerSecond, ratios, spread } from "../../../src/bench/statistics.js";

describe("spread", () => {
  it("takes the middle of an odd and the mean of the two middles of an even number", () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spread([10, 1, 2, 5])).toEqual({ median: 3.5, min: 1, max: 10 });
    expect(spread([7])).toEqual({ median: 7, min: 7, max: 7 });
  });

  it("sorts numbers as numbers", () => {
    expect(spread([9, 10, 100])).toEqual({ median: 10, min: 9, max: 100 });
  });

  it("does not move for one disturbed round, nor change its input", () => {
    const values = [5, 1, 5.2];
    expect(spread(values).median).toBe(5);
    expect(values).toEqual([5, 1, 5.2]);
  });

  it("has as many values at or below the median as at or above it", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 }), (values) => {
        const { median, min, max } = spread(values);
        const below = values.filter((value) => value <= median).length;
        const above = values.filter((value) => value >= median).length;
        return min <= median && median <= max && 2 * below >= values.length && 2 * above >= values.length;
      }),
    );
  });

  it("refuses no values", () => {
    expect(() => spread([])).toThrow(RangeError);
  });
});

describe("ratios", () => {
  it("divides round by round, so that what hits a whole round cancels", () => {
    const ceilings = [10, 2, 8];
    const writer = ceilings.map((gb) => gb * 0.9);
    expect(ratios(writer, ceilings).median).toBeCloseTo(0.9);
    expect(ratios(writer, ceilings).min).toBeCloseTo(0.9);
  });

  it("refuses lists that do not belong together", () => {
    expect(() => ratios([1], [1, 2])).toThrow(RangeError);
  });
});

describe("gbPerSecond", () => {
  it("counts decimal gigabytes", () => {
    expect(gbPerSecond(3e9, 2e9)).toBe(1.5);
  });
});
