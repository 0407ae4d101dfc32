import { deflateSync, gzipSync } from "node:zlib";
import zstd from "zstd-napi/binding.js";
import { codecBound } from "../../src/codec/codec.js";
import { crc32c } from "../../src/codec/crc32c.js";
import { encodeBlosc, encodeZstd } from "../../src/codec/encoder/index.js";
import type { CodecMetadata } from "../../src/zarr/array_metadata.js";
import { type CraftedArray, type CraftedStore, craftStore } from "./craft_store.js";

/** Small stores of every codec chain that is read, of several dtypes and layouts; for tests that damage them. */
export interface FuzzStore extends CraftedStore {
  readonly name: string;
  /** Chunks end in a checksum: no change of a value behind it may pass. */
  readonly checked: boolean;
  /** Undefined for a group. */
  readonly array: CraftedArray | undefined;
}

type Encode = (raw: Uint8Array) => Uint8Array;

const CRC: CodecMetadata = { name: "crc32c" };
const GZIP: CodecMetadata = { name: "gzip", configuration: { level: 5 } };
const zstdCodec = (checksum: boolean): CodecMetadata => ({ name: "zstd", configuration: { level: 1, checksum } });
const bloscCodec = (cname: string, shuffle: string, typesize: number): CodecMetadata => ({
  name: "blosc",
  configuration: { cname, clevel: 1, shuffle, typesize, blocksize: 0 },
});

export function withCrc(src: Uint8Array): Uint8Array {
  const result = new Uint8Array(src.length + 4);
  result.set(src);
  new DataView(result.buffer).setUint32(src.length, crc32c(src), true);
  return result;
}

/** One frame of libzstd. */
export function zstdFrame(src: Uint8Array, options: { checksum?: boolean; contentSize?: boolean } = {}): Uint8Array {
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.checksumFlag, options.checksum ? 1 : 0);
  context.setParameter(zstd.CParameter.contentSizeFlag, options.contentSize === false ? 0 : 1);
  const dst = new Uint8Array(src.length + 1000);
  return dst.slice(0, context.compress2(dst, src));
}

function own(codec: "blosc" | "zstd", itemBytes: number): Encode {
  return (raw) => {
    const dst = new Uint8Array(codecBound({ name: codec }, raw.length));
    return dst.slice(0, (codec === "blosc" ? encodeBlosc : encodeZstd)(raw, itemBytes, dst));
  };
}

/** A container of one block without shuffle, the payload by zlib. */
const bloscZlib: Encode = (raw) => {
  const payload = deflateSync(raw);
  const small = payload.length < raw.length ? payload : raw;
  const result = new Uint8Array(16 + 4 + 4 + small.length);
  const view = new DataView(result.buffer);
  result.set([2, 1, (3 << 5) | 0x10, 1]);
  for (const [i, word] of [raw.length, raw.length, result.length, 20, small.length].entries()) {
    view.setUint32(4 + 4 * i, word, true);
  }
  result.set(small, 24);
  return result;
};

const VOLUME = { shape: [5, 6, 7], chunk: [2, 3, 4], shard: [4, 6, 8] } as const;
const LINE = { shape: [300], chunk: [50], shard: [100] } as const;

const ARRAYS: readonly (CraftedArray & { readonly name: string; readonly checked?: boolean })[] = [
  { name: "none", dtype: "uint16", ...VOLUME, codec: { name: "none" } },
  { name: "none, holes", dtype: "float32", ...VOLUME, codec: { name: "none" }, fill: "NaN", absent: ([t]) => t === 1 },
  { name: "none, no index checksum", dtype: "int8", ...LINE, codec: { name: "none" }, index: { checksum: false } },
  { name: "blosc", dtype: "uint16", ...VOLUME, codec: { name: "blosc" } },
  { name: "blosc, one byte", dtype: "int8", ...LINE, codec: { name: "blosc" } },
  { name: "blosc, eight bytes", dtype: "float64", ...LINE, codec: { name: "blosc" }, fill: "-Infinity" },
  {
    name: "blosc, zlib",
    dtype: "uint32",
    ...LINE,
    chain: { codecs: [bloscCodec("zlib", "noshuffle", 4)], encode: bloscZlib },
  },
  { name: "zstd", dtype: "uint8", ...VOLUME, codec: { name: "zstd" } },
  {
    name: "zstd, index at start",
    dtype: "int64",
    ...LINE,
    codec: { name: "zstd", level: 1 },
    index: { location: "start" },
  },
  {
    name: "zstd without size",
    dtype: "uint64",
    ...LINE,
    fill: 2n ** 63n + 1n,
    chain: { codecs: [zstdCodec(false)], encode: (raw) => zstdFrame(raw, { contentSize: false }) },
  },
  {
    name: "zstd, checksum",
    dtype: "float16",
    ...VOLUME,
    chain: { codecs: [zstdCodec(true)], encode: (raw) => zstdFrame(raw, { checksum: true }) },
    checked: true,
  },
  { name: "crc32c", dtype: "int16", ...VOLUME, chain: { codecs: [CRC], encode: withCrc }, checked: true },
  {
    name: "blosc, crc32c",
    dtype: "int32",
    ...LINE,
    chain: { codecs: [bloscCodec("zstd", "shuffle", 4), CRC], encode: (raw) => withCrc(own("blosc", 4)(raw)) },
    checked: true,
  },
  {
    name: "crc32c, zstd",
    dtype: "uint16",
    ...LINE,
    chain: { codecs: [CRC, zstdCodec(false)], encode: (raw) => own("zstd", 2)(withCrc(raw)) },
    checked: true,
  },
  { name: "gzip", dtype: "uint16", ...LINE, chain: { codecs: [GZIP], encode: (raw) => gzipSync(raw) }, checked: true },
];

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A pyramid of two levels, with everything around it that can be named. */
async function pyramid(): Promise<FuzzStore> {
  const axes = [{ name: "d0" }, { name: "d1" }, { name: "d2" }];
  const attributes = { ome: { version: "0.5", multiscales: [{ axes, datasets: [{ path: "0" }, { path: "1" }] }] } };
  const objects = new Map([["zarr.json", text({ zarr_format: 3, node_type: "group", attributes })]]);
  const keys: string[] = [];
  for (const [path, shape] of [
    ["0", [4, 6, 8]],
    ["1", [4, 3, 4]],
  ] as const) {
    const made = await craftStore(
      { dtype: "uint16", shape, chunk: [2, 3, 4], shard: [4, 6, 8], codec: { name: "blosc" }, path },
      objects,
    );
    keys.push(...made.keys);
  }
  return { name: "pyramid", checked: false, array: undefined, objects, expected: new Uint8Array(0), keys };
}

export async function fuzzCorpus(): Promise<FuzzStore[]> {
  const stores: FuzzStore[] = [];
  for (const array of ARRAYS) {
    stores.push({ name: array.name, checked: array.checked ?? false, array, ...(await craftStore(array)) });
  }
  return [...stores, await pyramid()];
}
