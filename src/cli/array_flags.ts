import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "commander";
import { MillraceError } from "../base/errors.js";
import { nameHint } from "../base/nearest_name.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import type { ArrayOptions } from "../options.js";

/** `name:value` pairs, of which each name is a dimension's. */
export type Named<T> = ReadonlyMap<string, T>;

/** Parses `--unit`: `t:second,y:micrometer`. */
export function parseUnits(text: string): Named<string> {
  return parseNamed(text, "t:second,y:micrometer", (unit) => unit);
}

/** Parses `--scale`: `y:0.325,x:0.325`; finite numbers above 0. */
export function parseScales(text: string): Named<number> {
  return parseNamed(text, "y:0.325,x:0.325", (value, part) => {
    const scale = Number(value);
    if (Number.isFinite(scale) && scale > 0) return scale;
    throw new InvalidArgumentError(`"${part}": expected a finite number above 0.`);
  });
}

function parseNamed<T>(text: string, example: string, parse: (value: string, part: string) => T): Named<T> {
  const named = new Map<string, T>();
  for (const part of text.split(",").map((part) => part.trim())) {
    const colon = part.indexOf(":");
    const value = part.slice(colon + 1).trim();
    if (colon < 1 || value === "") {
      throw new InvalidArgumentError(`"${part}" is not name:value; expected for example ${example}.`);
    }
    const name = part.slice(0, colon).trim();
    if (named.has(name)) throw new InvalidArgumentError(`Dimension ${name} is there twice.`);
    named.set(name, parse(value, part));
  }
  return named;
}

/**
 * The dimensions with units and scales added.
 * @throws MillraceError INVALID_OPTION for a name that no dimension has
 */
export function withSpacing(
  dimensions: readonly DimensionOptions[],
  units: Named<string> = new Map(),
  scales: Named<number> = new Map(),
): readonly DimensionOptions[] {
  const names = dimensions.map(({ name }) => name);
  for (const [option, named] of Object.entries({ unit: units, scale: scales })) {
    for (const name of named.keys()) {
      if (names.includes(name)) continue;
      throw new MillraceError(
        "INVALID_OPTION",
        `--${option} names dimension "${name}", but the array has no such dimension.`,
        {
          context: { option, dimension: name },
          // Every letter is near every other.
          hint: name.length === 1 ? `Known: ${names.join(", ")}.` : nameHint(name, names),
        },
      );
    }
  }
  return dimensions.map((dimension) => {
    const unit = units.get(dimension.name);
    const scale = scales.get(dimension.name);
    return {
      ...dimension,
      ...(unit === undefined ? {} : { unit }),
      ...(scale === undefined ? {} : { scale }),
    };
  });
}

/**
 * What `--attributes` says: JSON where it begins with a brace, else the file that it names.
 * @throws MillraceError INVALID_OPTION for a file that cannot be read, and for what is no JSON object
 */
export async function readAttributes(given: string): Promise<ArrayOptions["attributes"]> {
  const inline = given.trimStart().startsWith("{");
  const what = inline ? "--attributes" : `--attributes ${given}`;
  const fail = (message: string, hint: string, cause?: unknown) =>
    new MillraceError("INVALID_OPTION", `${what} ${message}`, { context: { option: "attributes" }, hint, cause });
  let text = given;
  if (!inline) {
    try {
      text = await readFile(given, "utf8");
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? "unknown error";
      const why = reason === "ENOENT" ? "there is no such file" : reason;
      throw fail(
        `cannot be read: ${why}.`,
        'Name a file of JSON, or give the JSON itself: \'{"sample":"A1"}\'.',
        cause,
      );
    }
  }
  try {
    const value: unknown = JSON.parse(text);
    // Members are the library's to check.
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as ArrayOptions["attributes"];
  } catch (cause) {
    throw fail(`is no JSON: ${(cause as Error).message}.`, "Names and texts stand in double quotes.", cause);
  }
  throw fail("is JSON, but no object.", 'Attributes have names: {"sample":"A1"}.');
}

/**
 * What `--fill` says, as the library takes it: integers exactly, floats as numbers. Whether it fits is the library's to
 * check, names of floats and bit patterns are its own.
 */
export function fillOf(dtype: DType, text: string): NonNullable<ArrayOptions["fillValue"]> {
  const given = text.trim();
  if (!dtype.startsWith("float")) return /^-?\d+$/.test(given) ? BigInt(given) : given;
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : given;
}
