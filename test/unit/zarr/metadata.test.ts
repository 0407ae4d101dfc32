import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../../src/base/errors.js";
import type { JsonObject } from "../../../src/base/json.js";
import { codecJson } from "../../../src/codec/codec.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { DTYPE_NAMES } from "../../../src/geometry/dtype.js";
import { arrayMetadata } from "../../../src/zarr/array_metadata.js";
import { fillValue } from "../../../src/zarr/fill_value.js";
import { parseArrayMetadata, parseMetadata, storedGeometry } from "../../../src/zarr/parse_metadata.js";
import { smallGeometries } from "../geometry/geometries.js";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

const geometry = describeGeometry("uint16", [
  { name: "t", size: null, chunk: 16, shard: 64 },
  { name: "y", size: 520, chunk: 130, shard: 520 },
  { name: "x", size: 696, chunk: 174, shard: 696 },
]);
const zstd = codecJson({ name: "zstd", level: 1 }, "uint16");

/** The document of a sharded array as other writers spell it. */
const stored = {
  zarr_format: 3,
  node_type: "array",
  shape: [32, 520, 696],
  data_type: "uint16",
  chunk_grid: { name: "regular", configuration: { chunk_shape: [64, 520, 696] } },
  chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
  fill_value: 0,
  codecs: [
    {
      name: "sharding_indexed",
      configuration: {
        chunk_shape: [16, 130, 174],
        codecs: [
          { name: "bytes", configuration: { endian: "little" } },
          { name: "zstd", configuration: { level: 1, checksum: false } },
        ],
        index_codecs: [{ name: "bytes", configuration: { endian: "little" } }, { name: "crc32c" }],
      },
    },
  ],
  attributes: { who: "me" },
  dimension_names: ["t", "y", "x"],
};

const sharding = (over: object) => ({
  codecs: [{ name: "sharding_indexed", configuration: { ...stored.codecs[0].configuration, ...over } }],
});

function refused(document: unknown): MillraceError {
  try {
    parseMetadata(bytes(document), "a/zarr.json");
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("array metadata", () => {
  it("is what the specification asks for, member by member", () => {
    const document = arrayMetadata({
      geometry,
      rows: 32,
      codecs: zstd,
      fill: fillValue("uint16", 0),
      attributes: { who: "me" },
    });
    expect(JSON.parse(text(document))).toEqual(stored);
    expect(Object.keys(JSON.parse(text(document)))).toEqual(Object.keys(stored));
  });

  it("is readable: indented, a shape on one line, a newline at the end", () => {
    const lines = text(arrayMetadata({ geometry, rows: 32, codecs: zstd, fill: fillValue("uint16") })).split("\n");
    expect(lines[0]).toBe("{");
    expect(lines).toContain('  "shape": [32, 520, 696],');
    expect(lines).toContain('  "fill_value": 0,');
    expect(lines).toContain('  "attributes": {},');
    expect(lines.at(-1)).toBe("");
  });

  it("has no byte order for one-byte types inside, but always in the index", () => {
    const g = describeGeometry("uint8", [{ name: "t", size: null, chunk: 4 }]);
    const codecs = codecJson({ name: "none" }, "uint8");
    const { configuration } = JSON.parse(
      text(arrayMetadata({ geometry: g, rows: 0, codecs, fill: fillValue("uint8") })),
    ).codecs[0];
    expect(configuration.codecs).toEqual([{ name: "bytes" }]);
    expect(configuration.index_codecs[0]).toEqual({ name: "bytes", configuration: { endian: "little" } });
  });

  it("keeps all digits of a 64-bit fill value", () => {
    const g = describeGeometry("uint64", [{ name: "t", size: null, chunk: 4 }]);
    const codecs = codecJson({ name: "none" }, "uint64");
    const document = arrayMetadata({ geometry: g, rows: 0, codecs, fill: fillValue("uint64", 2n ** 64n - 1n) });
    expect(text(document)).toContain('"fill_value": 18446744073709551615,');
    expect(parseArrayMetadata(document).fill.json).toBe("18446744073709551615");
  });

  it("keeps any attributes, also those that look like members", () => {
    const attributes = fc.dictionary(fc.string(), fc.jsonValue()) as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(attributes, (given) => {
        const more = { ...given, fill_value: 'x" 7 }', nested: { fill_value: [1, { "]": "[" }] } } as JsonObject;
        const document = arrayMetadata({
          geometry,
          rows: 1,
          codecs: zstd,
          fill: fillValue("uint16", 9),
          attributes: more,
        });
        const node = parseArrayMetadata(document);
        // −0 becomes 0 in any JSON writer.
        expect(node.attributes).toEqual(JSON.parse(JSON.stringify(more)));
        expect(node.fill.json).toBe("9");
      }),
    );
  });

  it("comes back whole from the reader, for any geometry", () => {
    fc.assert(
      fc.property(
        smallGeometries(),
        fc.nat(100),
        fc.constantFrom({ name: "none" } as const, { name: "zstd", level: 3 } as const),
        (g, rows, codec) => {
          const fill = fillValue(g.dtype, 7);
          const codecs = codecJson(codec, g.dtype);
          const node = parseArrayMetadata(arrayMetadata({ geometry: g, rows, codecs, fill }));
          expect(node).toEqual({
            nodeType: "array",
            shape: [rows, ...g.shape.slice(1)],
            dtype: g.dtype,
            chunk: g.chunk,
            shard: g.shard,
            compressors: codecs.slice(1),
            index: { location: "end", checksum: true },
            keyEncoding: { name: "default", separator: "/" },
            fill,
            attributes: {},
            dimensionNames: g.names,
          });
          const again = storedGeometry(node);
          expect({ ...again, names: [] }).toEqual({
            ...g,
            names: [],
            rowCount: null,
            shape: [null, ...g.shape.slice(1)],
          });
        },
      ),
    );
  });
});

describe("group metadata", () => {
  it("may hold consolidated metadata, as other writers leave it", () => {
    const document = { zarr_format: 3, node_type: "group", consolidated_metadata: null };
    expect(parseMetadata(bytes(document))).toEqual({ nodeType: "group", attributes: {}, consolidated: null });
    expect(() => parseArrayMetadata(bytes(document))).toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
  });
});

describe("reading metadata of other writers", () => {
  const parse = (over: object) => parseArrayMetadata(bytes({ ...stored, ...over }));

  it("takes an array without shards", () => {
    const node = parse({
      codecs: [
        { name: "bytes", configuration: { endian: "little" } },
        { name: "gzip", configuration: { level: 5 } },
      ],
    });
    expect(node).toMatchObject({ chunk: [64, 520, 696], shard: undefined, index: undefined });
    expect(node.compressors).toEqual([{ name: "gzip", configuration: { level: 5 } }]);
    expect(storedGeometry(node)).toMatchObject({ chunk: [64, 520, 696], shard: [64, 520, 696], chunksPerShard: 1 });
  });

  it("takes an index in front, and one without checksum", () => {
    expect(parse(sharding({ index_location: "start" })).index).toEqual({ location: "start", checksum: true });
    const index_codecs = [{ name: "bytes", configuration: { endian: "little" } }];
    expect(parse(sharding({ index_codecs })).index).toEqual({ location: "end", checksum: false });
  });

  it("takes other key encodings", () => {
    expect(parse({ chunk_key_encoding: { name: "v2" } }).keyEncoding).toEqual({ name: "v2", separator: "." });
    expect(parse({ chunk_key_encoding: "default" }).keyEncoding).toEqual({ name: "default", separator: "/" });
    expect(
      parse({ chunk_key_encoding: { name: "default", configuration: { separator: "." } } }).keyEncoding.separator,
    ).toBe(".");
  });

  it("takes missing names, null names and duplicate names", () => {
    expect(parse({ dimension_names: undefined }).dimensionNames).toBeUndefined();
    expect(parse({ dimension_names: null }).dimensionNames).toBeUndefined();
    const node = parse({ dimension_names: ["x", null, "x"] });
    expect(node.dimensionNames).toEqual(["x", null, "x"]);
    expect(new Set(storedGeometry(node).names).size).toBe(3);
  });

  it("takes members it may pass over, an empty list of transformers, and short names", () => {
    expect(parse({ extra: { must_understand: false, name: "x" } }).dtype).toBe("uint16");
    expect(parse({ storage_transformers: [] }).dtype).toBe("uint16");
    expect(parse({ data_type: { name: "uint16" } }).dtype).toBe("uint16");
    const codecs = ["bytes", "crc32c"];
    expect(parse({ data_type: "uint8", codecs }).compressors).toEqual([{ name: "crc32c", configuration: {} }]);
  });

  it("takes whitespace, escapes and a member twice as JSON.parse does", () => {
    const document = `{"fill_value":1, "fill\\u005fvalue" : 18446744073709551614 ,"zarr_format":3,"node_type":"array",
      "shape":[1],"data_type":"uint64","chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2]}},
      "chunk_key_encoding":{"name":"default"},"codecs":[{"name":"bytes","configuration":{"endian":"little"}}]}`;
    expect(parseArrayMetadata(bytes(document)).fill.json).toBe("18446744073709551614");
  });

  it("takes an empty array", () => {
    const node = parse({ shape: [0, 520, 696] });
    expect(node.shape).toEqual([0, 520, 696]);
    expect(storedGeometry(node).rowElements).toBe(520 * 696);
  });

  it.each(["bool", "complex64", "r16", "string", { name: "numpy.datetime64", configuration: { unit: "s" } }])(
    "does not read data type %j",
    (data_type) => {
      expect(refused({ ...stored, data_type }).code).toBe("STORE_UNSUPPORTED");
    },
  );

  it.each<[string, object]>([
    ["format 2", { zarr_format: 2 }],
    ["an unknown member", { extra: 1 }],
    ["a member that must be understood", { extra: { must_understand: true } }],
    ["another grid", { chunk_grid: { name: "rectilinear", configuration: {} } }],
    ["another key encoding", { chunk_key_encoding: { name: "fancy" } }],
    ["storage transformers", { storage_transformers: [{ name: "x" }] }],
    ["a codec behind the shards", { codecs: [...stored.codecs, { name: "crc32c" }] }],
    ["transposed chunks", sharding({ codecs: [{ name: "transpose" }, { name: "bytes" }] })],
    ["big-endian chunks", sharding({ codecs: [{ name: "bytes", configuration: { endian: "big" } }] })],
    ["an unknown compressor", sharding({ codecs: [stored.codecs[0].configuration.codecs[0], { name: "lz4" }] })],
    ["shards in shards", sharding({ codecs: stored.codecs })],
    [
      "a compressed index",
      sharding({ index_codecs: [{ name: "bytes", configuration: { endian: "little" } }, { name: "zstd" }] }),
    ],
    ["a big-endian index", sharding({ index_codecs: [{ name: "bytes", configuration: { endian: "big" } }] })],
  ])("does not read %s", (_, over) => {
    const error = refused({ ...stored, ...over });
    expect(error.code).toBe("STORE_UNSUPPORTED");
    expect(error.context).toEqual({ key: "a/zarr.json" });
    expect(error.message).toMatch(/^a\/zarr\.json /);
  });

  it.each<[string, unknown]>([
    ["nothing", ""],
    [
      "half a document",
      text(arrayMetadata({ geometry, rows: 1, codecs: zstd, fill: fillValue("uint16") })).slice(0, -5),
    ],
    ["a list", []],
    ["null", null],
    ["no format", { ...stored, zarr_format: undefined }],
    ["another node", { ...stored, node_type: "arr" }],
    ["attributes that are a list", { ...stored, attributes: [] }],
    ["no shape", { ...stored, shape: undefined }],
    ["a negative size", { ...stored, shape: [-1, 520, 696] }],
    ["no data type", { ...stored, data_type: undefined }],
    ["no grid", { ...stored, chunk_grid: undefined }],
    ["a chunk of 0", { ...stored, chunk_grid: { name: "regular", configuration: { chunk_shape: [0, 520, 696] } } }],
    [
      "a chunk of another rank",
      { ...stored, chunk_grid: { name: "regular", configuration: { chunk_shape: [64, 520] } } },
    ],
    ["no key encoding", { ...stored, chunk_key_encoding: undefined }],
    ["a wrong separator", { ...stored, chunk_key_encoding: { name: "default", configuration: { separator: "_" } } }],
    ["no fill value", { ...stored, fill_value: undefined }],
    ["a null fill value", { ...stored, fill_value: null }],
    ["a fill value out of range", { ...stored, fill_value: 65536 }],
    ["no codecs", { ...stored, codecs: [] }],
    ["a codec without a name", { ...stored, codecs: [{}] }],
    ["a configuration that is a list", { ...stored, codecs: [{ name: "bytes", configuration: [] }] }],
    ["no byte order", { ...stored, codecs: [{ name: "bytes" }] }],
    ["a wrong byte order", { ...stored, codecs: [{ name: "bytes", configuration: { endian: "middle" } }] }],
    ["bytes twice", { ...stored, codecs: [stored.codecs[0].configuration.codecs[0], { name: "bytes" }] }],
    ["chunks that do not divide shards", { ...stored, ...sharding({ chunk_shape: [16, 130, 175] }) }],
    ["chunks of another rank", { ...stored, ...sharding({ chunk_shape: [16] }) }],
    ["no index codecs", { ...stored, ...sharding({ index_codecs: undefined }) }],
    ["a wrong index location", { ...stored, ...sharding({ index_location: "middle" }) }],
    ["too few names", { ...stored, dimension_names: ["t"] }],
    ["names that are numbers", { ...stored, dimension_names: [1, 2, 3] }],
    ["transformers that are no list", { ...stored, storage_transformers: {} }],
  ])("calls %s corrupt", (_, document) => {
    const error = refused(document);
    expect([error.code, error.message]).toEqual(["STORE_CORRUPT", expect.stringMatching(/^a\/zarr\.json /)]);
  });

  it("calls bytes that are not UTF-8 corrupt", () => {
    const bad = bytes(stored);
    bad[bad.length - 10] = 0xff;
    expect(() => parseMetadata(bad)).toThrow(expect.objectContaining({ code: "STORE_CORRUPT" }));
  });

  it.each<[string, object]>([
    [
      "of rank 0",
      {
        shape: [],
        chunk_grid: { name: "regular", configuration: { chunk_shape: [] } },
        codecs: [stored.codecs[0].configuration.codecs[0]],
        dimension_names: undefined,
      },
    ],
    ["with an empty inner dimension", { shape: [1, 0, 696] }],
    [
      "with a chunk beyond the limits",
      {
        ...sharding({ chunk_shape: [2 ** 40, 1, 1] }),
        chunk_grid: { name: "regular", configuration: { chunk_shape: [2 ** 40, 1, 1] } },
      },
    ],
  ])("has no geometry for an array %s", (_, over) => {
    const node = parse(over);
    expect(() => storedGeometry(node)).toThrow(expect.objectContaining({ code: "STORE_UNSUPPORTED" }));
  });

  it("never fails with anything but its own errors", () => {
    const members = Object.keys(stored) as (keyof typeof stored)[];
    fc.assert(
      fc.property(fc.constantFrom(...members), fc.jsonValue(), (member, value) => {
        try {
          parseMetadata(bytes({ ...stored, [member]: value }));
        } catch (error) {
          expect(isMillraceError(error)).toBe(true);
          expect(["STORE_CORRUPT", "STORE_UNSUPPORTED"]).toContain((error as MillraceError).code);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("knows every dtype", () => {
    for (const data_type of DTYPE_NAMES) expect(parse({ data_type }).dtype).toBe(data_type);
  });
});
