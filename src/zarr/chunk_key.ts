import { assert } from "../base/assert.js";

/** How a chunk's (for a sharded array: a shard's) coordinates become a key (Zarr v3 core, "chunk key encoding"). */
export interface ChunkKeyEncoding {
  /** "default" begins with "c", "v2" does not. */
  readonly name: "default" | "v2";
  /** What stands between two coordinates. */
  readonly separator: "/" | ".";
}

/** What Millrace writes: c/0/1/2. */
const DEFAULT_KEY_ENCODING: ChunkKeyEncoding = Object.freeze({ name: "default", separator: "/" });

/**
 * Key relative to the array's own key: "c/0/1/2" (default, "/"), "c.0.1.2" (default, "."), "0/1/2" or "0.1.2" (v2).
 * For rank 0 "c", or "0" with v2.
 */
export function chunkKey(coordinates: readonly number[], encoding: ChunkKeyEncoding = DEFAULT_KEY_ENCODING): string {
  const { name, separator } = encoding;
  if (name === "v2") return coordinates.length === 0 ? "0" : coordinates.join(separator);
  return ["c", ...coordinates].join(separator);
}

/** The coordinates of a key of that rank, or undefined when it is none: a foreign file, leading zeros, another rank. */
export function parseChunkKey(
  key: string,
  rank: number,
  encoding: ChunkKeyEncoding = DEFAULT_KEY_ENCODING,
): number[] | undefined {
  assert(rank >= 0, "rank is a count", { rank });
  if (rank === 0) return key === chunkKey([], encoding) ? [] : undefined;
  const parts = key.split(encoding.separator);
  if (encoding.name === "default" && parts.shift() !== "c") return undefined;
  if (parts.length !== rank) return undefined;
  const coordinates = parts.map((part) => (/^(0|[1-9]\d*)$/.test(part) ? Number(part) : Number.NaN));
  return coordinates.every(Number.isSafeInteger) ? coordinates : undefined;
}

/** Key of a node's member: "" is the root, so that memberKey("", "zarr.json") has no leading slash. */
export function memberKey(nodePath: string, member: string): string {
  return nodePath === "" ? member : `${nodePath}/${member}`;
}
