import { isCount } from "../base/integers.js";
import type { Json } from "../base/json.js";
import { CODECS_MAX } from "../base/limits.js";
import { type DType, itemBytes } from "../geometry/dtype.js";
import type { CodecMetadata } from "./array_metadata.js";
import { corrupt, type NamedConfiguration, namedConfiguration, shown, unsupported } from "./parse_node.js";

/** What the `codecs` of an array say, sharding taken apart. */
export interface CodecPipeline {
  /** Elements of a chunk, per dimension. */
  readonly chunk: readonly number[];
  /** Elements of a shard, per dimension; undefined where there are no shards. */
  readonly shard: readonly number[] | undefined;
  /** Codecs of one chunk in the order of encoding, without the leading `bytes`: each turns bytes into bytes. */
  readonly compressors: readonly CodecMetadata[];
  /** How a shard's index is found; undefined when the array has no shards. */
  readonly index: { readonly location: "start" | "end"; readonly checksum: boolean } | undefined;
}

const COMPRESSORS = new Set(["zstd", "blosc", "gzip", "crc32c"]);

/** @param outer chunk shape of the array's grid. */
export function parseCodecs(value: Json | undefined, outer: number[], dtype: DType, key: string): CodecPipeline {
  const codecs = codecList(value, "codecs", key);
  const sharding = codecs.findIndex((codec) => codec.name === "sharding_indexed");
  if (sharding < 0) {
    const compressors = parseChunkCodecs(codecs, itemBytes(dtype), key);
    return { chunk: Object.freeze(outer), shard: undefined, compressors, index: undefined };
  }
  if (codecs.length > 1) throw unsupported(key, "has codecs around sharding_indexed");
  const { configuration } = codecs[sharding];
  const chunk = configuration.chunk_shape;
  if (!Array.isArray(chunk) || chunk.length !== outer.length || !chunk.every((n) => isCount(n) && n > 0)) {
    throw corrupt(key, `has sharding_indexed chunk_shape ${shown(chunk)} for a shard of ${outer.join(" × ")}`);
  }
  const inner = chunk as number[];
  const at = inner.findIndex((n, i) => outer[i] % n !== 0);
  if (at >= 0) {
    throw corrupt(key, `has shards of ${outer[at]} along dimension ${at}, not a multiple of the chunk ${inner[at]}`);
  }
  const innerCodecs = codecList(configuration.codecs, "sharding_indexed codecs", key);
  const location = configuration.index_location ?? "end";
  if (location !== "start" && location !== "end") {
    throw corrupt(key, `has index_location ${shown(location)}, expected "start" or "end"`);
  }
  return {
    chunk: Object.freeze(inner),
    shard: Object.freeze(outer),
    compressors: parseChunkCodecs(innerCodecs, itemBytes(dtype), key),
    index: Object.freeze({ location, checksum: parseIndexCodecs(configuration.index_codecs, key) }),
  };
}

function codecList(value: Json | undefined, member: string, key: string): NamedConfiguration[] {
  if (!Array.isArray(value) || value.length === 0) throw corrupt(key, `has no list of ${member}`);
  if (value.length > CODECS_MAX) {
    throw unsupported(key, `has ${value.length} ${member}; at most ${CODECS_MAX} are read`);
  }
  return value.map((codec) => namedConfiguration(codec, member, key));
}

function parseChunkCodecs(
  codecs: readonly NamedConfiguration[],
  bytesPerItem: number,
  key: string,
): readonly CodecMetadata[] {
  const [first, ...rest] = codecs;
  if (first.name !== "bytes") {
    throw unsupported(key, `has codec ${shown(first.name)} first; only "bytes" is read there`);
  }
  const { endian } = first.configuration;
  if (endian !== undefined && endian !== "little" && endian !== "big") {
    throw corrupt(key, `has endian ${shown(endian)} in codec bytes`);
  }
  if (bytesPerItem > 1 && endian !== "little") {
    if (endian === undefined) throw corrupt(key, "has codec bytes without endian for a data type of several bytes");
    throw unsupported(key, "holds big-endian chunks");
  }
  for (const { name } of rest) {
    if (name === "bytes") throw corrupt(key, "has codec bytes twice in one chain");
    if (!COMPRESSORS.has(name)) {
      throw unsupported(key, `has codec ${shown(name)}; read are ${[...COMPRESSORS].join(", ")}`);
    }
  }
  return Object.freeze(rest);
}

/** Whether the index has a checksum. Only codecs of fixed size are legal here, and these are the ones in use. */
function parseIndexCodecs(value: Json | undefined, key: string): boolean {
  const codecs = codecList(value, "index_codecs", key);
  const [first, second, ...more] = codecs;
  if (first.name !== "bytes" || more.length > 0 || (second !== undefined && second.name !== "crc32c")) {
    throw unsupported(
      key,
      `has index codecs ${codecs.map((c) => shown(c.name)).join(", ")}; read are bytes and bytes, crc32c`,
    );
  }
  if (first.configuration.endian === "big") throw unsupported(key, "holds big-endian shard indexes");
  if (first.configuration.endian !== "little") throw corrupt(key, "has index codec bytes without endian");
  return second !== undefined;
}
