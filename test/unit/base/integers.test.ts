import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { alignUp, ceilDiv, exactDiv, floorDiv, isCount, product } from "../../../src/base/integers.js";

const count = fc.maxSafeNat();
const divisor = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

describe("division of counts", () => {
  it("is exact up to 2^53", () => {
    fc.assert(
      fc.property(count, divisor, (n, d) => {
        const [N, D] = [BigInt(n), BigInt(d)];
        expect(BigInt(floorDiv(n, d))).toBe(N / D);
        expect(BigInt(ceilDiv(n, d))).toBe((N + D - 1n) / D);
      }),
    );
    // Math.ceil(n / d) gives 2 here: the quotient rounds down to 2 first.
    expect(ceilDiv(2 ** 53 - 1, 2 ** 52 - 1)).toBe(3);
  });

  it("refuses what is no count", () => {
    for (const wrong of [
      () => ceilDiv(1, 0),
      () => ceilDiv(-1, 1),
      () => floorDiv(0.5, 1),
      () => exactDiv(7, 2),
      () => ceilDiv(2 ** 53, 1),
    ]) {
      expect(wrong).toThrow(expect.objectContaining({ code: "INTERNAL" }));
    }
    expect([0, 1, 2 ** 53 - 1].every(isCount)).toBe(true);
    expect([-1, 0.5, 2 ** 53, Number.NaN, "1", null, 1n].some(isCount)).toBe(false);
  });

  it("aligns up", () => {
    expect([0, 1, 16, 17].map((n) => alignUp(n, 16))).toEqual([0, 16, 16, 32]);
    expect(exactDiv(12, 4)).toBe(3);
  });
});

describe("product", () => {
  it("is exact, or an error", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { maxLength: 6 }), (factors) => {
        const exact = factors.reduce((p, n) => p * BigInt(n), 1n);
        if (exact <= BigInt(Number.MAX_SAFE_INTEGER) && !factors.includes(0))
          expect(BigInt(product(factors))).toBe(exact);
      }),
    );
    expect(product([])).toBe(1);
    expect(product([5, 0, 7])).toBe(0);
    expect(product([2 ** 26, 2 ** 26])).toBe(2 ** 52);
    expect(() => product([2 ** 27, 2 ** 26], "bytes of a thing")).toThrow(
      expect.objectContaining({ code: "BAD_GEOMETRY", message: expect.stringContaining("bytes of a thing") }),
    );
  });
});
