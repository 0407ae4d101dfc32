import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError } from "../../../src/base/errors.js";
import { DTYPE_NAMES, DTYPES, type DType, itemBytes } from "../../../src/geometry/dtype.js";
import { fillValue, parseFillValue } from "../../../src/zarr/fill_value.js";

const FLOATS = ["float16", "float32", "float64"] as const;
const INTEGERS = DTYPE_NAMES.filter((dtype) => DTYPES[dtype].kind !== "float");

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
/** Bits of one little-endian element. */
const bitsOf = (bytes: Uint8Array) => BigInt(`0x${hex(bytes.slice().reverse())}`);

/** dtype, value, bytes, shortest digits: made by NumPy, see make_fill_values.py. */
const rows: [DType, string, string, string | null][] = JSON.parse(
  readFileSync(new URL("fill_values.json", import.meta.url), "utf8"),
);

const digitCount = (text: string) =>
  text.replace(/e.*/i, "").replace(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;

describe("fill values against NumPy", () => {
  it("has rows for every dtype", () => {
    expect(new Set(rows.map(([dtype]) => dtype))).toEqual(new Set(DTYPE_NAMES));
  });

  it("gives the same element for what a user gives", () => {
    const wrong = rows.filter(([dtype, value, bytes]) => {
      const given = DTYPES[dtype].kind !== "float" ? BigInt(value) : /^-?[\d.]/.test(value) ? Number(value) : value;
      return hex(fillValue(dtype, given).bytes) !== bytes;
    });
    expect(wrong).toEqual([]);
  });

  it("writes as many digits as NumPy's printer, and no worse ones", () => {
    for (const [dtype, value, , shortest] of rows) {
      if (shortest === null) continue;
      const { json } = fillValue(dtype, Number(value));
      // Of two decimals equally short and equally near, NumPy takes the even one, JavaScript the larger.
      const error = (text: string) => Math.abs(Number(text) - Number(value));
      expect(error(json)).toBeLessThanOrEqual(error(shortest));
      expect([dtype, digitCount(json)]).toEqual([dtype, digitCount(shortest)]);
    }
  });

  it("reads back what it wrote", () => {
    for (const [dtype, value, bytes] of rows) {
      const given = DTYPES[dtype].kind !== "float" ? BigInt(value) : /^-?[\d.]/.test(value) ? Number(value) : value;
      const { json } = fillValue(dtype, given);
      expect(() => JSON.parse(json)).not.toThrow();
      expect(hex(parseFillValue(dtype, json).bytes)).toBe(bytes);
      expect(parseFillValue(dtype, json).json).toBe(json);
    }
  });
});

describe("integer fill values", () => {
  it("are JSON integers of the exact value, for every dtype and value", () => {
    fc.assert(
      fc.property(fc.constantFrom(...INTEGERS), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (dtype, random) => {
        const bits = 8 * itemBytes(dtype);
        const value = DTYPES[dtype].kind === "int" ? BigInt.asIntN(bits, random) : BigInt.asUintN(bits, random);
        const fill = fillValue(dtype, value);
        expect(fill.json).toBe(String(value));
        expect(bitsOf(fill.bytes)).toBe(BigInt.asUintN(bits, random));
        expect(parseFillValue(dtype, fill.json)).toEqual(fill);
      }),
    );
  });

  it.each(INTEGERS)("%s defaults to 0 and takes numbers, also -0", (dtype) => {
    expect(fillValue(dtype)).toEqual(fillValue(dtype, 0n));
    expect(fillValue(dtype, -0).json).toBe("0");
    expect(fillValue(dtype, 100)).toEqual(fillValue(dtype, 100n));
  });

  it.each(INTEGERS)("%s refuses what is just outside its range, and what is no integer", (dtype) => {
    const bits = BigInt(8 * itemBytes(dtype));
    const [min, max] =
      DTYPES[dtype].kind === "int" ? [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n] : [0n, 2n ** bits - 1n];
    for (const wrong of [
      min - 1n,
      max + 1n,
      0.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      "0",
      "NaN",
      "0x00",
      "",
      2 ** 70,
    ]) {
      expect(() => fillValue(dtype, wrong)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    }
  });

  it("refuses a number that has already lost digits, and says how to give it", () => {
    for (const dtype of ["uint64", "int64"] as const) {
      expect(() => fillValue(dtype, 2 ** 60)).toThrow(/bigint/);
      expect(fillValue(dtype, Number.MAX_SAFE_INTEGER).json).toBe("9007199254740991");
      expect(fillValue(dtype, 2n ** 60n + 1n).json).toBe("1152921504606846977");
    }
  });
});

describe("float fill values", () => {
  it("give finite float32 values the fewest digits that both kinds of readers round back", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const { json, bytes } = fillValue("float32", value);
        expect(Object.is(Math.fround(JSON.parse(json)), value)).toBe(true);
        expect(new DataView(bytes.buffer).getFloat32(0, true)).toBe(value);
        for (let digits = 1; digits < digitCount(json); digits++) {
          expect(Math.fround(Number(value.toPrecision(digits)))).not.toBe(value);
        }
      }),
    );
  });

  it("give doubles their own digits", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const { json, bytes } = fillValue("float64", value);
        expect(Object.is(JSON.parse(json), value)).toBe(true);
        expect(Object.is(new DataView(bytes.buffer).getFloat64(0, true), value)).toBe(true);
      }),
    );
  });

  it("keep every bit pattern, and write the one form the specification has for it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FLOATS),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.boolean(),
        (dtype, random, special) => {
          const width = 2 * itemBytes(dtype);
          const exponent = { float16: 0x7c00n, float32: 0x7f800000n, float64: 0x7ff0000000000000n }[dtype];
          const bits = BigInt.asUintN(4 * width, random) | (special ? exponent : 0n);
          const pattern = `0x${bits.toString(16).padStart(width, "0")}`;
          const fill = fillValue(dtype, pattern);
          expect(bitsOf(fill.bytes)).toBe(bits);
          expect(parseFillValue(dtype, fill.json)).toEqual(fill);
          const parsed: unknown = JSON.parse(fill.json);
          if ((bits & exponent) !== exponent) expect(typeof parsed).toBe("number");
          else expect(parsed).toSatisfy((text: string) => ["NaN", "Infinity", "-Infinity", pattern].includes(text));
        },
      ),
      { numRuns: 400 },
    );
  });

  it.each([
    ["float16", "0x7e00", '"NaN"', "007e"],
    ["float32", "0x7fc00000", '"NaN"', "0000c07f"],
    ["float64", "0x7ff8000000000000", '"NaN"', "000000000000f87f"],
    ["float16", "0xfe00", '"0xfe00"', "00fe"],
    ["float32", "0x7FC00001", '"0x7fc00001"', "0100c07f"],
    ["float32", "0x7f800000", '"Infinity"', "0000807f"],
    ["float64", "0xfff0000000000000", '"-Infinity"', "000000000000f0ff"],
    ["float32", "0x3f800000", "1.0", "0000803f"],
    ["float32", "0x80000000", "-0.0", "00000080"],
    ["float16", "0x0001", "6e-8", "0100"],
    ["float32", 0.1, "0.1", "cdcccc3d"],
    ["float64", 0.1, "0.1", "9a9999999999b93f"],
    ["float32", 16777217, "16777216.0", "0000804b"],
    ["float64", 1e21, "1e+21", "50efe2d6e41a4b44"],
    ["float64", -0, "-0.0", "0000000000000080"],
    ["float16", Number.NaN, '"NaN"', "007e"],
    ["float32", Number.NEGATIVE_INFINITY, '"-Infinity"', "000080ff"],
  ] as const)("%s %s is %s", (dtype, value, json, bytes) => {
    const fill = fillValue(dtype, value);
    expect(fill.json).toBe(json);
    expect(hex(fill.bytes)).toBe(bytes);
  });

  it.each([
    ["float16", 65520],
    ["float32", 3.5e38],
    ["float32", "0x7fc0"],
    ["float16", "0x7fc00000"],
    ["float64", "7ff8000000000000"],
    ["float64", "nan"],
    ["float64", "1.5"],
    ["float64", ""],
    ["float64", 1n],
  ] as const)("%s refuses %s", (dtype, value) => {
    expect(() => fillValue(dtype, value)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  it("round to the dtype before judging the range", () => {
    expect(fillValue("float16", 65519).json).toBe(fillValue("float16", 65504).json);
  });
});

describe("fill values of existing arrays", () => {
  it.each([
    ["float32", "0", "00000000"],
    ["float32", "-0.0", "00000080"],
    ["float32", "1.5E+1", "00007041"],
    ["float32", '"0x1"', "01000000"],
    ["float64", ' "NaN" ', "000000000000f87f"],
    ["float32", '"\\u004eaN"', "0000c07f"],
    ["uint64", "18446744073709551615", "ffffffffffffffff"],
    ["int64", "-9223372036854775808", "0000000000000080"],
  ] as const)("%s reads %s", (dtype, json, bytes) => {
    expect(hex(parseFillValue(dtype, json).bytes)).toBe(bytes);
  });

  it.each([
    ["uint8", "256"],
    ["uint8", "-1"],
    ["uint8", "1.0"],
    ["uint8", "1e2"],
    ["uint8", "01"],
    ["uint8", '"1"'],
    ["uint8", "null"],
    ["uint8", "true"],
    ["uint8", "[0]"],
    ["uint8", ""],
    ["float32", "null"],
    ["float32", "NaN"],
    ["float32", '"nan"'],
    ["float32", '"0x7fc000000"'],
    ["float32", '"0x"'],
    ["float32", '"bad'],
    ["float32", "1."],
    ["float32", "0x10"],
  ] as const)("%s refuses %s", (dtype, json) => {
    try {
      parseFillValue(dtype, json);
      expect.fail("it was accepted");
    } catch (error) {
      expect(isMillraceError(error, "STORE_CORRUPT")).toBe(true);
    }
  });
});
