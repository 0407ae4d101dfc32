import { assert } from "../base/assert.js";
import { MillraceError } from "../base/errors.js";
import { DTYPES, type DType, itemBytes } from "../geometry/dtype.js";
import { type FloatDType, floatBits, floatFromBits, isFloat, isNaNBits, quietNaNBits, roundTo } from "./float_bits.js";

/** A fill value in the two forms that are needed: as JSON text for zarr.json, and as one element for padding. */
export interface FillValue {
  /** Element type. */
  readonly dtype: DType;
  /**
   * Exact JSON text (Zarr v3 core, "fill value" of each data type). Text and not a value, because a 64-bit integer does
   * not survive a JavaScript number.
   */
  readonly json: string;
  /** One element, little-endian, itemBytes long. Not to be written to. */
  readonly bytes: Uint8Array;
}

/**
 * The fill value a user gave: a number, a bigint (integer dtypes), or for floats "NaN", "Infinity", "-Infinity" or a
 * bit pattern "0x…" of full width. Floats are rounded to the dtype, ties to even; integers must fit exactly.
 *
 * Zarr has one JSON form per float: a decimal for finite values, the three names, and "0x…" for every NaN but the
 * canonical quiet one (sign 0, only the highest fraction bit set). A bit pattern of a finite value is therefore written
 * as a decimal.
 * @throws MillraceError INVALID_OPTION
 */
export function fillValue(dtype: DType, value: number | bigint | string = 0): FillValue {
  const refuse = (expected: string, hint?: string): never => {
    const given =
      typeof value === "string" ? JSON.stringify(value) : typeof value === "bigint" ? `${value}n` : String(value);
    throw new MillraceError(
      "INVALID_OPTION",
      `Option array.fillValue for ${dtype} must be ${expected}, got ${given}.`,
      {
        context: { option: "array.fillValue", dtype, given: String(value) },
        hint,
      },
    );
  };
  if (isFloat(dtype)) {
    if (typeof value === "bigint") return refuse("a number or a string", "A bigint is for integer dtypes.");
    if (typeof value === "number") {
      if (Number.isFinite(value) && !Number.isFinite(roundTo(dtype, value))) {
        return refuse(`within the range of ${dtype}`, 'Give "Infinity" if that is what is meant.');
      }
      return fromBits(dtype, floatBits(dtype, value));
    }
    const bits = typeof value === "string" ? parseFloatName(dtype, value, 2 * itemBytes(dtype)) : undefined;
    if (bits === undefined) {
      return refuse(`a number, "NaN", "Infinity", "-Infinity" or "0x" and ${2 * itemBytes(dtype)} hexadecimal digits`);
    }
    return fromBits(dtype, bits);
  }
  const [min, max] = integerRange(dtype);
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && itemBytes(dtype) === 8) {
    return refuse("exact", "A number beyond 2^53 − 1 has lost digits; give a bigint.");
  }
  const integer = typeof value === "bigint" || Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (integer === undefined || integer < min || integer > max) return refuse(`an integer from ${min} to ${max}`);
  return fromBits(dtype, BigInt.asUintN(8 * itemBytes(dtype), integer));
}

/**
 * The fill value of an existing array. `json` is the JSON text of the `fill_value` member as it stands in zarr.json, so
 * that 64-bit integers stay exact. Reads every form the specification allows, also shorter bit patterns.
 * @throws MillraceError STORE_CORRUPT
 */
export function parseFillValue(dtype: DType, json: string): FillValue {
  const text = json.trim();
  let bits: bigint | undefined;
  if (text.length > FILL_CHARS_MAX) bits = undefined;
  else if (isFloat(dtype)) {
    if (NUMBER.test(text)) bits = floatBits(dtype, Number(text));
    else if (text.startsWith('"')) bits = parseFloatName(dtype, parseJsonString(text), undefined);
  } else if (INTEGER.test(text)) {
    const [min, max] = integerRange(dtype);
    const integer = BigInt(text);
    if (integer >= min && integer <= max) bits = BigInt.asUintN(8 * itemBytes(dtype), integer);
  }
  if (bits !== undefined) return fromBits(dtype, bits);
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  throw new MillraceError("STORE_CORRUPT", `fill_value ${shown} is not a value of data type ${dtype}.`, {
    context: { member: "fill_value", dtype, given: shown },
  });
}

/** Text beyond this is no fill value that anybody wrote, and must not keep a regular expression busy. */
const FILL_CHARS_MAX = 2000;

/**
 * JSON's number and integer grammar (RFC 8259 §6). No integer here has more than 20 digits, and BigInt takes hours over
 * millions.
 */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const INTEGER = /^-?(0|[1-9]\d{0,19})$/;

function parseJsonString(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : "";
  } catch {
    // Not JSON: no float has an empty name, so the caller reports it like any other wrong value.
    return "";
  }
}

/** Smallest and largest value of an integer dtype. */
function integerRange(dtype: DType): readonly [bigint, bigint] {
  const bits = BigInt(8 * itemBytes(dtype));
  return DTYPES[dtype].kind === "uint" ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

/** Bits of a float's string form. `digits`: how many a bit pattern must have; undefined: up to the full width. */
function parseFloatName(dtype: FloatDType, name: string, digits: number | undefined): bigint | undefined {
  if (name === "NaN") return quietNaNBits(dtype);
  if (name === "Infinity") return floatBits(dtype, Number.POSITIVE_INFINITY);
  if (name === "-Infinity") return floatBits(dtype, Number.NEGATIVE_INFINITY);
  if (!/^0x[0-9a-fA-F]+$/.test(name)) return undefined;
  const given = name.length - 2;
  if (digits === undefined ? given > 2 * itemBytes(dtype) : given !== digits) return undefined;
  return BigInt(name);
}

function fromBits(dtype: DType, bits: bigint): FillValue {
  const bytes = new Uint8Array(itemBytes(dtype));
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((bits >> BigInt(8 * i)) & 0xffn);
  return Object.freeze({ dtype, json: isFloat(dtype) ? floatJson(dtype, bits) : integerJson(dtype, bits), bytes });
}

function integerJson(dtype: DType, bits: bigint): string {
  return (DTYPES[dtype].kind === "int" ? BigInt.asIntN(8 * itemBytes(dtype), bits) : bits).toString();
}

function floatJson(dtype: FloatDType, bits: bigint): string {
  if (isNaNBits(dtype, bits)) {
    if (bits === quietNaNBits(dtype)) return '"NaN"';
    return `"0x${bits.toString(16).padStart(2 * itemBytes(dtype), "0")}"`;
  }
  const value = floatFromBits(dtype, bits);
  if (!Number.isFinite(value)) return JSON.stringify(String(value));
  // JSON.stringify would print −0 as 0.
  if (Object.is(value, -0)) return "-0.0";
  const text = shortestDecimal(dtype, value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** The fewest decimal digits that a reader rounds back to `value`, in JavaScript's number format. */
function shortestDecimal(dtype: FloatDType, value: number): string {
  if (dtype === "float64") return String(value);
  for (let digits = 1; digits <= 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (roundTo(dtype, candidate) !== value) continue;
    // A reader may round the decimal straight to the dtype, or by way of a double as here. The two can differ only
    // where the double is the midpoint of two neighbours and the decimal itself is not.
    if (!isMidpoint(dtype, candidate, value) || hasDigits(candidate, digits)) return String(candidate);
  }
  // Nine digits tell any two float32 values apart, so only a bug comes here.
  assert(false, "a float32 has a decimal of nine digits", { value });
}

/**
 * Whether `candidate`, which rounds to `value`, is as far from the next value of the dtype: mirrored at it lies one.
 */
function isMidpoint(dtype: FloatDType, candidate: number, value: number): boolean {
  const mirrored = 2 * candidate - value;
  return candidate !== value && roundTo(dtype, mirrored) === mirrored;
}

/**
 * Whether so many decimal digits say `x` exactly. 100 is what toPrecision offers; no double has 90 zeros and then more.
 */
function hasDigits(x: number, digits: number): boolean {
  const all = x.toPrecision(100).replace(/e.*/, "").replace(/[-.]/g, "").replace(/^0+/, "");
  return /^0*$/.test(all.slice(digits));
}
