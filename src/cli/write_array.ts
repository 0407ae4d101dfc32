import { MillraceError } from "../base/errors.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import { storedArrayOptions } from "../index.js";
import type { ArrayOptions, CodecOptions, WriterOptions } from "../options.js";
import { type S3Flags, targetOf } from "./store_arg.js";

/** What says which array is written. */
export interface ArrayFlags extends S3Flags {
  readonly dtype?: DType;
  readonly dims?: readonly DimensionOptions[];
  readonly codec?: CodecOptions;
  readonly mode: NonNullable<WriterOptions["mode"]>;
}

/**
 * The array that the flags describe. With `--mode resume` what is left out is taken from the store; what is given must
 * be as there, which the writer checks.
 * @throws MillraceError INVALID_OPTION for a flag that is missing; with `--mode resume` what reading the store throws
 */
export async function arrayOf(store: string, flags: ArrayFlags): Promise<ArrayOptions> {
  const { dtype, dims, codec } = flags;
  if (flags.mode !== "resume") {
    return { dtype: required("--dtype <dtype>", dtype), dimensions: required("--dims <list>", dims), codec };
  }
  await using opened = targetOf(store, flags);
  const stored = await storedArrayOptions(opened.target);
  return {
    dtype: dtype ?? stored.dtype,
    // The type is a guess from the name, not something that was said.
    dimensions: dims?.map(({ type: _, ...dimension }) => dimension) ?? stored.dimensions,
    codec,
  };
}

function required<T>(flag: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new MillraceError("INVALID_OPTION", `required option '${flag}' not specified.`, {
    context: { option: flag.slice(2).split(" ")[0] },
    hint: "Only with --mode resume it is taken from the store.",
  });
}
