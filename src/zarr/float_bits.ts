import { DTYPES, type DType } from "../geometry/dtype.js";
import { fromHalfBits, toHalfBits } from "../geometry/float16.js";

/** Floats as bit patterns, where a JavaScript number would lose a NaN's payload. */

export type FloatDType = "float16" | "float32" | "float64";

export function isFloat(dtype: DType): dtype is FloatDType {
  return DTYPES[dtype].kind === "float";
}

const scratch = new DataView(new ArrayBuffer(8));

/** Bits of `value` rounded to the dtype, ties to even. Any NaN gives the canonical quiet NaN. */
export function floatBits(dtype: FloatDType, value: number): bigint {
  if (Number.isNaN(value)) return quietNaNBits(dtype);
  if (dtype === "float16") return BigInt(toHalfBits(value));
  if (dtype === "float32") {
    scratch.setFloat32(0, value);
    return BigInt(scratch.getUint32(0));
  }
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

/** The number that the bits stand for. */
export function floatFromBits(dtype: FloatDType, bits: bigint): number {
  if (dtype === "float16") return fromHalfBits(Number(bits));
  if (dtype === "float32") {
    scratch.setUint32(0, Number(bits));
    return scratch.getFloat32(0);
  }
  scratch.setBigUint64(0, bits);
  return scratch.getFloat64(0);
}

/** `value` rounded to the dtype. */
export function roundTo(dtype: FloatDType, value: number): number {
  if (dtype === "float64") return value;
  return dtype === "float32" ? Math.fround(value) : fromHalfBits(toHalfBits(value));
}

const EXPONENT: Readonly<Record<FloatDType, bigint>> = {
  float16: 0x7c00n,
  float32: 0x7f80_0000n,
  float64: 0x7ff0_0000_0000_0000n,
};

const QUIET_NAN: Readonly<Record<FloatDType, bigint>> = {
  float16: 0x7e00n,
  float32: 0x7fc0_0000n,
  float64: 0x7ff8_0000_0000_0000n,
};

const SIGN: Readonly<Record<FloatDType, bigint>> = { float16: 1n << 15n, float32: 1n << 31n, float64: 1n << 63n };

/** What Zarr v3 writes as "NaN": sign 0, exponent all ones, only the highest fraction bit set. */
export function quietNaNBits(dtype: FloatDType): bigint {
  return QUIET_NAN[dtype];
}

export function isNaNBits(dtype: FloatDType, bits: bigint): boolean {
  return (bits & ~SIGN[dtype]) > EXPONENT[dtype];
}
