import type { JsonObject } from "../base/json.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { FillValue } from "./fill_value.js";
import { type JsonOrRaw, RawJson, writeJson } from "./json_text.js";

/** A codec as it stands in zarr.json. */
export interface CodecMetadata {
  /** Name as registered for Zarr v3. */
  readonly name: string;
  /** Its parameters. Absent: none. */
  readonly configuration?: JsonObject;
}

interface ArrayMetadataInput {
  readonly geometry: ArrayGeometry;
  /** Size of the append dimension to publish, also for a bounded array: rows that readers may see. */
  readonly rows: number;
  /** Codecs of one chunk inside a shard, `bytes` first; what codec/codec.ts gives as codecJson. */
  readonly codecs: readonly CodecMetadata[];
  readonly fill: FillValue;
  readonly attributes?: JsonObject;
}

/** Codecs of a shard's index: always little-endian u64 with a checksum behind it. */
const INDEX_CODECS: readonly CodecMetadata[] = Object.freeze([
  { name: "bytes", configuration: { endian: "little" } },
  { name: "crc32c" },
]);

/**
 * zarr.json of a sharded array (Zarr v3 core and sharding_indexed 1.0), UTF-8, the same bytes for the same input.
 *
 * What is left out is left out for readers: `storage_transformers` (none), `index_location` ("end" is the default and
 * older readers know no other), `must_understand`, and codec names without an object around them.
 */
export function arrayMetadata(input: ArrayMetadataInput): Uint8Array {
  const { geometry: g, rows, codecs, fill, attributes } = input;
  const document: { [key: string]: JsonOrRaw } = {
    zarr_format: 3,
    node_type: "array",
    shape: [rows, ...(g.shape.slice(1) as number[])],
    data_type: g.dtype,
    chunk_grid: { name: "regular", configuration: { chunk_shape: g.shard } },
    chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
    fill_value: new RawJson(fill.json),
    codecs: [
      {
        name: "sharding_indexed",
        configuration: {
          chunk_shape: g.chunk,
          codecs: codecs.map(codecJson),
          index_codecs: INDEX_CODECS.map(codecJson),
        },
      },
    ],
    attributes: attributes ?? {},
    dimension_names: g.names,
  };
  return new TextEncoder().encode(`${writeJson(document)}\n`);
}

function codecJson(codec: CodecMetadata): JsonObject {
  const { name, configuration } = codec;
  return configuration === undefined ? { name } : { name, configuration };
}
