import { InvalidArgumentError } from "commander";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { LayoutDimension } from "../index.js";

/**
 * Parses `--dims`: `name:size:chunk:shard` per dimension, comma between them, slowest first, in elements. Size 0 means
 * unbounded and is legal for the first dimension only. `shard` may be left out: one chunk per shard along that
 * dimension. The axis type is guessed from the name, as microscopes name axes: t → time, z, y, x → space, c → channel,
 * else other. Whether chunk and shard fit each other is the library's to check.
 * @throws commander's InvalidArgumentError, which becomes exit code 2
 */
export function parseDims(text: string): DimensionOptions[] {
  return text.split(",").map((part, index) => parseDimension(part.trim(), index));
}

/**
 * Parses `--dims` of `advise`, which is asked for the chunks: `name:size`, or `name:size:weight` with −1, 0 or a number
 * above 0.
 * @throws commander's InvalidArgumentError, which becomes exit code 2
 */
export function parseLayoutDims(text: string): LayoutDimension[] {
  return text.split(",").map((part, index) => {
    const [name, size, weight, ...rest] = part.trim().split(":");
    if (name === "" || size === undefined || rest.length > 0) {
      throw new InvalidArgumentError(
        `Dimension ${index} is "${part}"; expected name:size or name:size:weight, for example t:0 or y:2048:-1.`,
      );
    }
    const { chunk: _, ...dimension } = parseDimension(`${name}:${size}:1`, index);
    if (weight === undefined) return dimension;
    const value = Number(weight);
    if (weight === "" || !Number.isFinite(value) || (value < 0 && value !== -1)) {
      throw new InvalidArgumentError(`"${part}": weight is "${weight}"; expected -1, 0 or a number above 0.`);
    }
    return { ...dimension, weight: value };
  });
}

/** The inverse of {@link parseDims}. */
export function formatDims(dimensions: readonly DimensionOptions[]): string {
  return dimensions.map(({ name, size, chunk, shard = chunk }) => `${name}:${size ?? 0}:${chunk}:${shard}`).join(",");
}

function parseDimension(text: string, index: number): DimensionOptions {
  const [name, size, chunk, shard, ...rest] = text.split(":");
  if (name === undefined || name === "" || size === undefined || chunk === undefined || rest.length > 0) {
    throw new InvalidArgumentError(
      `Dimension ${index} is "${text}"; expected name:size:chunk:shard, for example t:0:16:64.`,
    );
  }
  const sizeElements = parseCount(size, "size", text);
  if (sizeElements === 0 && index > 0) {
    throw new InvalidArgumentError(`"${text}" has size 0 (unbounded), which only the first dimension can have.`);
  }
  const chunkElements = parseCount(chunk, "chunk", text);
  if (chunkElements === 0) throw new InvalidArgumentError(`"${text}" has chunk 0; a chunk holds at least one element.`);
  const dimension = {
    name,
    type: guessType(name),
    size: sizeElements === 0 ? null : sizeElements,
    chunk: chunkElements,
  };
  return shard === undefined ? dimension : { ...dimension, shard: parseCount(shard, "shard", text) };
}

function parseCount(text: string, what: string, where: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`"${where}": ${what} is "${text}"; expected a whole number of elements.`);
  }
  return value;
}

function guessType(name: string): NonNullable<DimensionOptions["type"]> {
  switch (name.toLowerCase()) {
    case "t":
      return "time";
    case "z":
    case "y":
    case "x":
      return "space";
    case "c":
      return "channel";
    default:
      return "other";
  }
}
