import { type Command, Option } from "commander";
import { MillraceError } from "../base/errors.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import { DTYPE_NAMES, type DType } from "../geometry/dtype.js";
import { storedArrayOptions } from "../index.js";
import type { ArrayOptions, CodecOptions, WriterOptions } from "../options.js";
import { fillOf, type Named, parseScales, parseUnits, readAttributes, withSpacing } from "./array_flags.js";
import { parseCodec } from "./codec_arg.js";
import { parseDims } from "./dims.js";
import { type S3Flags, targetOf } from "./store_arg.js";

/** What says which array is written. */
export interface ArrayFlags extends S3Flags {
  readonly dtype?: DType;
  readonly dims?: readonly DimensionOptions[];
  readonly codec?: CodecOptions;
  readonly unit?: Named<string>;
  readonly scale?: Named<number>;
  /** A file's name, or JSON. */
  readonly attributes?: string;
  /** As typed: what it means depends on the dtype. */
  readonly fill?: string;
  readonly mode: NonNullable<WriterOptions["mode"]>;
}

/** Adds {@link ArrayFlags} but the mode. */
export function addArrayFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--dtype <dtype>", "element type (needed; with --mode resume the store's)").choices(DTYPE_NAMES),
    )
    .option(
      "--dims <list>",
      "name:size:chunk:shard per dimension, in elements, slowest first; size 0 = unbounded, first dimension only " +
        "(needed; with --mode resume the store's, unbounded)",
      parseDims,
    )
    .option(
      "--codec <codec>",
      "none, blosc, zstd or zstd:LEVEL (default: blosc; zstd where elements are single bytes; " +
        "with --mode resume the store's)",
      parseCodec,
    )
    .option(
      "--unit <list>",
      "name:unit of dimensions, by their UDUNITS names, such as t:second,y:micrometer",
      parseUnits,
    )
    .option(
      "--scale <list>",
      "name:step of dimensions: from one element to the next, in --unit, such as y:0.325",
      parseScales,
    )
    .option(
      "--attributes <json>",
      'the array\'s attributes: a file of JSON, or JSON itself, such as \'{"sample":"A1"}\'',
    )
    .option(
      "--fill <value>",
      "value of what is never written: a number; for floats also NaN, Infinity, -Infinity or 0x with the bits in hex " +
        "(default: 0; with --mode resume the store's)",
    );
}

/** `--mode` of {@link ArrayFlags}. */
export function modeOption(): Option {
  return new Option(
    "--mode <mode>",
    "what to do with an existing store: refuse it, replace it, continue it behind its last row",
  )
    .choices(["create", "overwrite", "resume"])
    .default("create");
}

/**
 * The array that the flags describe. With `--mode resume` what is left out is taken from the store; what is given must
 * be as there, which the writer checks.
 * @throws MillraceError INVALID_OPTION for a flag that is missing, for a name that no dimension has and for attributes
 *   that are no JSON; with `--mode resume` what reading the store throws
 */
export async function arrayOf(store: string, flags: ArrayFlags): Promise<ArrayOptions> {
  const { codec, unit, scale } = flags;
  const { dtype, dimensions } = await shapeOf(store, flags);
  return {
    dtype,
    dimensions: withSpacing(dimensions, unit, scale),
    codec,
    fillValue: flags.fill === undefined ? undefined : fillOf(dtype, flags.fill),
    attributes: flags.attributes === undefined ? undefined : await readAttributes(flags.attributes),
  };
}

async function shapeOf(store: string, flags: ArrayFlags): Promise<Pick<ArrayOptions, "dtype" | "dimensions">> {
  const { dtype, dims } = flags;
  if (flags.mode !== "resume") {
    return { dtype: required("--dtype <dtype>", dtype), dimensions: required("--dims <list>", dims) };
  }
  await using opened = targetOf(store, flags);
  const stored = await storedArrayOptions(opened.target);
  return {
    dtype: dtype ?? stored.dtype,
    // The type is a guess from the name, not something that was said.
    dimensions: dims?.map(({ type: _, ...dimension }) => dimension) ?? stored.dimensions,
  };
}

function required<T>(flag: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new MillraceError("INVALID_OPTION", `required option '${flag}' not specified.`, {
    context: { option: flag.slice(2).split(" ")[0] },
    hint: "Only with --mode resume it is taken from the store.",
  });
}
