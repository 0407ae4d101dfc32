import { ceilDiv, product } from "../../src/base/integers.js";
import { type CodecSpec, codecBound, codecJson } from "../../src/codec/codec.js";
import { openEncoder } from "../../src/codec/open_encoder.js";
import { describeGeometry } from "../../src/geometry/array_geometry.js";
import { type DType, itemBytes } from "../../src/geometry/dtype.js";
import { increment, ravel, unravel } from "../../src/geometry/mixed_radix.js";
import { arrayMetadata, type CodecMetadata } from "../../src/zarr/array_metadata.js";
import { chunkKey, memberKey } from "../../src/zarr/chunk_key.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { ShardIndex, shardIndexBytes } from "../../src/zarr/shard_index.js";

/**
 * Writes sharded stores the slow and obvious way, element by element, for tests of what reads them. Shares no code with
 * the writer but the metadata and the index.
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
  /** Instead of `codec`: any chain behind `bytes`, and what it makes of a chunk. */
  readonly chain?: { readonly codecs: readonly CodecMetadata[]; readonly encode: (raw: Uint8Array) => Uint8Array };
  /** Default: at the end, with a checksum. */
  readonly index?: { readonly location?: "start" | "end"; readonly checksum?: boolean };
}

export interface CraftedStore {
  readonly objects: Map<string, Uint8Array>;
  /** What a reader must return: little-endian, C order, absent chunks filled. */
  readonly expected: Uint8Array;
  readonly keys: readonly string[];
}

/**
 * A value for every element, different from its neighbours in all directions and dependent on every byte of `index`.
 */
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
  const { location = "end", checksum = true } = array.index ?? {};
  const bytesCodec = codecJson({ name: "none" }, dtype);
  const codecs = array.chain === undefined ? codecJson(codec, dtype) : [...bytesCodec, ...array.chain.codecs];
  const metadata = arrayMetadata({ geometry, rows: shape[0], codecs, fill });
  objects.set(memberKey(path, "zarr.json"), withIndex(metadata, location, checksum));
  const size = itemBytes(dtype);
  const expected = new Uint8Array(product([...shape, size]));
  const encoder = await openEncoder(codec, itemBytes(dtype), undefined);
  const encode = (raw: Uint8Array): Uint8Array => {
    if (array.chain !== undefined) return array.chain.encode(raw);
    const dst = new Uint8Array(codecBound(codec, raw.length));
    return dst.slice(0, encoder.encode(raw, dst));
  };
  const chunksOfShard = shard.map((s, d) => s / chunk[d]);
  const shardGrid = shape.map((s, d) => ceilDiv(s, shard[d]));
  const chunkGrid = shape.map((s, d) => ceilDiv(s, chunk[d]));
  const keys: string[] = [];
  if (product(shape) === 0) return { objects, expected, keys };
  const at = shape.map(() => 0);
  do {
    const index = new ShardIndex(product(chunksOfShard));
    const parts: Uint8Array[] = [];
    const indexBytes = shardIndexBytes(index.chunkCount, checksum);
    let offset = location === "start" ? indexBytes : 0;
    const inShard = shape.map(() => 0);
    do {
      const coordinates = inShard.map((c, d) => at[d] * chunksOfShard[d] + c);
      if (coordinates.some((c, d) => c >= chunkGrid[d])) continue;
      const absent = array.absent?.(coordinates) ?? false;
      const raw = craftChunk(array, coordinates, fill.bytes, expected, absent);
      if (absent) continue;
      const encoded = encode(raw);
      index.set(ravel(inShard, chunksOfShard), offset, encoded.length);
      parts.push(encoded);
      offset += encoded.length;
    } while (increment(inShard, chunksOfShard));
    if (parts.length === 0) continue;
    const key = memberKey(path, chunkKey(at));
    keys.push(key);
    const ending = index.encode().subarray(0, indexBytes);
    objects.set(key, new Uint8Array(Buffer.concat(location === "start" ? [ending, ...parts] : [...parts, ending])));
  } while (increment(at, shardGrid));
  return { objects, expected, keys };
}

/** zarr.json with another place or form of the index; text of the fill value and the rest as it was. */
function withIndex(metadata: Uint8Array, location: "start" | "end", checksum: boolean): Uint8Array {
  let text = new TextDecoder().decode(metadata);
  if (!checksum) text = text.replace(/,\s*\{\s*"name": "crc32c"\s*\}(?![\s\S]*"crc32c")/, "");
  if (location === "start") text = text.replace('"index_codecs"', '"index_location": "start", "index_codecs"');
  return new TextEncoder().encode(text);
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
