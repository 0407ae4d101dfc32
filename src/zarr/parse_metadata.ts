import { MillraceError } from "../base/errors.js";
import { isCount } from "../base/integers.js";
import { isJsonObject, type Json, type JsonObject } from "../base/json.js";
import { READ_RANK_MAX } from "../base/limits.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { type ArrayGeometry, describeGeometry } from "../geometry/array_geometry.js";
import { DTYPE_NAMES, type DType, isDType } from "../geometry/dtype.js";
import type { CodecMetadata } from "./array_metadata.js";
import type { ChunkKeyEncoding } from "./chunk_key.js";
import { type FillValue, parseFillValue } from "./fill_value.js";
import { jsonExcess } from "./json_bounds.js";
import { topLevelMember } from "./json_text.js";
import { type CodecPipeline, parseCodecs } from "./parse_codecs.js";
import { corrupt, namedConfiguration, shown, unsupported } from "./parse_node.js";

/** An array as zarr.json describes it; only what Millrace can read. Frozen. */
export interface StoredArray extends CodecPipeline {
  /** Always "array". */
  readonly nodeType: "array";
  /** In elements; may hold zeros. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DType;
  /** The smallest unit that can be read alone: inner chunk of a shard, or chunk of an array without shards. */
  readonly chunk: readonly number[];
  /** Undefined when the array has no shards: then a key holds one chunk. */
  readonly shard: readonly number[] | undefined;
  /** How keys of chunks, or of shards, are made. */
  readonly keyEncoding: ChunkKeyEncoding;
  /** Value of elements that are not stored. */
  readonly fill: FillValue;
  /** The array's attributes, unchecked. */
  readonly attributes: JsonObject;
  /** Names of the dimensions, null for one without; undefined where zarr.json has none. */
  readonly dimensionNames: readonly (string | null)[] | undefined;
}

export interface StoredGroup {
  readonly nodeType: "group";
  readonly attributes: JsonObject;
  /**
   * `consolidated_metadata` as it stands there, unchecked: copies of the zarr.json below, which Millrace neither reads
   * nor writes.
   */
  readonly consolidated: Json | undefined;
}

export type StoredNode = StoredArray | StoredGroup;

export type { CodecMetadata };

/**
 * Reads a zarr.json of format 3.
 * @param bytes the whole object.
 * @param key its key in the store, for messages.
 * @throws MillraceError STORE_CORRUPT when it breaks the Zarr v3 specification, STORE_UNSUPPORTED when it keeps to it
 *   but uses something that Millrace does not read: another format, data type, grid or codec, a transposed or
 *   big-endian chunk, shards in shards, more than 64 dimensions, more than four million JSON values, or an unknown
 *   member without `"must_understand": false`.
 */
export function parseMetadata(bytes: Uint8Array, key: string = METADATA_NAME): StoredNode {
  const excess = jsonExcess(bytes);
  if (excess !== undefined) throw unsupported(key, `has ${excess}`);
  let text: string;
  let document: Json;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    document = JSON.parse(text);
  } catch (cause) {
    throw corrupt(key, "is not UTF-8 JSON", cause);
  }
  if (!isJsonObject(document)) throw corrupt(key, "is not a JSON object");
  if (document.zarr_format !== 3) {
    if (isCount(document.zarr_format)) throw unsupported(key, `has zarr_format ${document.zarr_format}; 3 is read`);
    throw corrupt(key, `has zarr_format ${shown(document.zarr_format)}, expected 3`);
  }
  const attributes = document.attributes ?? {};
  if (!isJsonObject(attributes)) throw corrupt(key, "has attributes that are not an object");
  if (document.node_type === "group") {
    checkMembers(document, GROUP_MEMBERS, key);
    return Object.freeze({ nodeType: "group", attributes, consolidated: document.consolidated_metadata });
  }
  if (document.node_type !== "array") {
    throw corrupt(key, `has node_type ${shown(document.node_type)}, expected "array" or "group"`);
  }
  checkMembers(document, ARRAY_MEMBERS, key);
  return parseArray(document, text, attributes, key);
}

/** The same, where only an array will do. @throws also STORE_CORRUPT for a group. */
export function parseArrayMetadata(bytes: Uint8Array, key: string = METADATA_NAME): StoredArray {
  const node = parseMetadata(bytes, key);
  if (node.nodeType === "array") return node;
  throw corrupt(key, "describes a group, expected an array");
}

/**
 * The geometry that writing the array would need, with an unbounded append dimension: how many rows are published is
 * `shape[0]`, which may be 0. An array without shards has its chunks as shards.
 * @throws MillraceError STORE_UNSUPPORTED for rank 0, an inner size of 0, or sizes beyond Millrace's limits.
 */
export function storedGeometry(array: StoredArray, key: string = METADATA_NAME): ArrayGeometry {
  if (array.shape.length === 0) throw unsupported(key, "describes an array of rank 0");
  const empty = array.shape.indexOf(0, 1);
  if (empty > 0) throw unsupported(key, `has size 0 along dimension ${empty}`);
  try {
    return describeGeometry(
      array.dtype,
      array.shape.map((size, i) => ({
        // Zarr allows unnamed dimensions and one name twice; a position is always unique.
        name: `${i}:${array.dimensionNames?.[i] ?? ""}`,
        size: i === 0 ? null : size,
        chunk: array.chunk[i],
        shard: array.shard?.[i],
      })),
    );
  } catch (cause) {
    throw unsupported(key, `describes an array beyond the limits: ${(cause as Error).message}`, cause);
  }
}

const GROUP_MEMBERS = new Set(["zarr_format", "node_type", "attributes", "consolidated_metadata"]);
const ARRAY_MEMBERS = new Set([
  "zarr_format",
  "node_type",
  "shape",
  "data_type",
  "chunk_grid",
  "chunk_key_encoding",
  "fill_value",
  "codecs",
  "attributes",
  "storage_transformers",
  "dimension_names",
]);

function checkMembers(document: JsonObject, known: ReadonlySet<string>, key: string): void {
  for (const [name, value] of Object.entries(document)) {
    if (known.has(name) || (isJsonObject(value) && value.must_understand === false)) continue;
    throw unsupported(key, `has an unknown member ${shown(name)} that must be understood`);
  }
}

function parseArray(document: JsonObject, text: string, attributes: JsonObject, key: string): StoredArray {
  const shape = counts(document.shape, "shape", 0, key);
  if (shape.length > READ_RANK_MAX) {
    throw unsupported(key, `has ${shape.length} dimensions; at most ${READ_RANK_MAX} are read`);
  }
  const dtype = parseDType(document.data_type, key);
  const outer = parseGrid(document.chunk_grid, shape.length, key);
  const transformers = document.storage_transformers ?? [];
  if (!Array.isArray(transformers)) throw corrupt(key, "has storage_transformers that are not a list");
  if (transformers.length > 0) throw unsupported(key, "uses storage transformers");
  const pipeline = parseCodecs(document.codecs, outer, dtype, key);
  // From the text, not from JSON.parse: a number has already lost the low digits of a 64-bit integer.
  const fillText = topLevelMember(text, "fill_value");
  if (fillText === undefined) throw corrupt(key, "has no fill_value");
  let fill: FillValue;
  try {
    fill = parseFillValue(dtype, fillText);
  } catch (cause) {
    if (!(cause instanceof MillraceError)) throw cause;
    throw corrupt(key, `is wrong: ${cause.message}`, cause);
  }
  return Object.freeze({
    nodeType: "array",
    shape: Object.freeze(shape),
    dtype,
    ...pipeline,
    keyEncoding: parseKeyEncoding(document.chunk_key_encoding, key),
    fill,
    attributes,
    dimensionNames: parseDimensionNames(document.dimension_names, shape.length, key),
  });
}

function parseDType(value: Json | undefined, key: string): DType {
  const name = isJsonObject(value) && value.configuration === undefined ? value.name : value;
  if (isDType(name)) return name;
  if (typeof name === "string" || (isJsonObject(name) && typeof name.name === "string")) {
    throw unsupported(key, `has data type ${shown(name)}; read are ${DTYPE_NAMES.join(", ")}`);
  }
  throw corrupt(key, `has data_type ${shown(value)}`);
}

function parseGrid(value: Json | undefined, rank: number, key: string): number[] {
  const { name, configuration } = namedConfiguration(value, "chunk_grid", key);
  if (name !== "regular") throw unsupported(key, `has chunk grid ${shown(name)}; read is "regular"`);
  const chunk = counts(configuration.chunk_shape, "chunk_grid.configuration.chunk_shape", 1, key);
  if (chunk.length === rank) return chunk;
  throw corrupt(key, `has ${rank} sizes in shape, but ${chunk.length} in chunk_shape`);
}

function parseKeyEncoding(value: Json | undefined, key: string): ChunkKeyEncoding {
  const { name, configuration } = namedConfiguration(value, "chunk_key_encoding", key);
  if (name !== "default" && name !== "v2") {
    throw unsupported(key, `has chunk key encoding ${shown(name)}; read are "default" and "v2"`);
  }
  const separator = configuration.separator ?? (name === "default" ? "/" : ".");
  if (separator !== "/" && separator !== ".") {
    throw corrupt(key, `has chunk key separator ${shown(separator)}, expected "/" or "."`);
  }
  return Object.freeze({ name, separator });
}

function parseDimensionNames(
  value: Json | undefined,
  rank: number,
  key: string,
): readonly (string | null)[] | undefined {
  // zarr-python writes null for "no names"; the specification leaves the member out.
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length !== rank || !value.every((n) => n === null || typeof n === "string")) {
    throw corrupt(key, `has dimension_names ${shown(value)}, expected ${rank} strings or nulls`);
  }
  return Object.freeze(value as (string | null)[]);
}

function counts(value: Json | undefined, member: string, min: number, key: string): number[] {
  if (Array.isArray(value) && value.every((n) => isCount(n) && n >= min)) return value as number[];
  throw corrupt(key, `has ${member} ${shown(value)}, expected whole numbers from ${min}`);
}
