import { ceilDiv, product } from "../../src/base/integers.js";
import { type CodecSpec, codecBound, codecJson } from "../../src/codec/codec.js";
import { openEncoder } from "../../src/codec/open_encoder.js";
import { describeGeometry } from "../../src/geometry/array_geometry.js";
import { type DType, itemBytes } from "../../src/geometry/dtype.js";
import { increment, ravel, unravel } from "../../src/geometry/mixed_radix.js";
import { arrayMetadata } from "../../src/zarr/array_metadata.js";
import { chunkKey, memberKey } from "../../src/zarr/chunk_key.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { ShardIndex } from "../../src/zarr/shard_index.js";

/**
 * Writes sharded stores the slow and obvious way, element by element, for tests of what reads them. Shares no code with the writer
 * but the metadata and the index.
 */
export interface CraftedArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly chunk: readonly number[];
  readonly shard: readonly number[];
  readonly codec?: CodecSpec;
  readonly fill?: number | bigint | string;
  /** Chunks (by coordinates in the chunk grid) that are not stored. */
  readonly absent?: (chunk: readonly number[]) => boolean;
  readonly path?: string;
}

export interface CraftedStore {
  readonly objects: Map<string, Uint8Array>;
  /** What a reader must return: little-endian, C order, absent chunks filled. */
  readonly expected: Uint8Array;
  readonly keys: readonly string[];
}

/** A value for every element, different from its neighbours in all directions and dependent on every byte of `index`. */
export function elementBytes(index: number, size: number): number[] {
  let x = Math.imul(index + 1, 0x9e3779b1) ^ (index >>> 7);
  return Array.from({ length: size }, (_, i) => {
    x = Math.imul(x ^ (x >>> 15), 0x85ebca6b + i);
    // Few bits in the higher bytes, as in images.
    return i % 2 === 0 ? (x >>> 24) & 0xff : (x >>> 24) & 3;
  });
}

export async function craftStore(array: CraftedArray, objects = new Map<string, Uint8Array>()): Promise<CraftedStore> {
  const { dtype, shape, chunk, shard, codec = { name: "none" }, path = "" } = array;
  const geometry = describeGeometry(
    dtype,
    shape.map((size, d) => ({ name: `d${d}`, size: d === 0 ? null : size, chunk: chunk[d], shard: shard[d] })),
  );
  const fill = fillValue(dtype, array.fill ?? 0);
  objects.set(
    memberKey(path, "zarr.json"),
    arrayMetadata({ geometry, rows: shape[0], codecs: codecJson(codec, dtype), fill }),
  );
  const size = itemBytes(dtype);
  const expected = new Uint8Array(product([...shape, size]));
  const encoder = await openEncoder(codec, itemBytes(dtype), undefined);
  const chunksOfShard = shard.map((s, d) => s / chunk[d]);
  const shardGrid = shape.map((s, d) => ceilDiv(s, shard[d]));
  const chunkGrid = shape.map((s, d) => ceilDiv(s, chunk[d]));
  const keys: string[] = [];
  if (product(shape) === 0) return { objects, expected, keys };
  const at = shape.map(() => 0);
  do {
    const index = new ShardIndex(product(chunksOfShard));
    const parts: Uint8Array[] = [];
    let offset = 0;
    const inShard = shape.map(() => 0);
    do {
      const coordinates = inShard.map((c, d) => at[d] * chunksOfShard[d] + c);
      if (coordinates.some((c, d) => c >= chunkGrid[d])) continue;
      const absent = array.absent?.(coordinates) ?? false;
      const raw = craftChunk(array, coordinates, fill.bytes, expected, absent);
      if (absent) continue;
      const dst = new Uint8Array(codecBound(codec, raw.length));
      const encoded = dst.slice(0, encoder.encode(raw, dst));
      index.set(ravel(inShard, chunksOfShard), offset, encoded.length);
      parts.push(encoded);
      offset += encoded.length;
    } while (increment(inShard, chunksOfShard));
    if (parts.length === 0) continue;
    const key = memberKey(path, chunkKey(at));
    keys.push(key);
    objects.set(key, new Uint8Array(Buffer.concat([...parts, index.encode()])));
  } while (increment(at, shardGrid));
  return { objects, expected, keys };
}

function craftChunk(
  { dtype, shape, chunk }: CraftedArray,
  coordinates: readonly number[],
  fill: Uint8Array,
  expected: Uint8Array,
  absent: boolean,
): Uint8Array {
  const size = itemBytes(dtype);
  const raw = new Uint8Array(product([...chunk, size]));
  for (let i = 0; i < product(chunk); i++) {
    const element = unravel(i, chunk).map((c, d) => coordinates[d] * chunk[d] + c);
    const inside = element.every((c, d) => c < shape[d]);
    const value = inside && !absent ? elementBytes(ravel(element, shape), size) : fill;
    raw.set(value, i * size);
    if (inside) expected.set(value, ravel(element, shape) * size);
  }
  return raw;
}
