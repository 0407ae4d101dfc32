import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../../src/base/errors.js";
import { CHUNK_BYTES_MAX, CHUNKS_PER_SHARD_MAX } from "../../../src/base/limits.js";
import { type DimensionOptions, describeGeometry } from "../../../src/geometry/array_geometry.js";
import { DTYPE_NAMES, DTYPES, isDType, itemBytes } from "../../../src/geometry/dtype.js";
import { coordinatesOf, smallGeometries } from "./geometries.js";

const frame: DimensionOptions[] = [
  { name: "t", size: null, chunk: 16, shard: 64 },
  { name: "y", size: 520, chunk: 130, shard: 520 },
  { name: "x", size: 696, chunk: 174, shard: 696 },
];

function refused(dtype: unknown, dimensions: unknown): MillraceError {
  try {
    describeGeometry(dtype as never, dimensions as never);
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("dtypes", () => {
  it("are the eleven, with the sizes in their names", () => {
    expect(DTYPE_NAMES.length).toBe(11);
    for (const name of DTYPE_NAMES) {
      const [, kind, bits] = /^(uint|int|float)(\d+)$/.exec(name)!;
      expect(DTYPES[name].kind).toBe(kind);
      expect(itemBytes(name)).toBe(Number(bits) / 8);
    }
  });

  it.each(["bool", "UINT8", "toString", "__proto__", "", 8, null, undefined])("do not include %s", (name) => {
    expect(isDType(name)).toBe(false);
  });
});

describe("describeGeometry", () => {
  it("computes a camera's array", () => {
    expect(describeGeometry("uint16", frame)).toEqual({
      dtype: "uint16",
      itemBytes: 2,
      rank: 3,
      shape: [null, 520, 696],
      chunk: [16, 130, 174],
      shard: [64, 520, 696],
      names: ["t", "y", "x"],
      rowElements: 361_920,
      rowBytes: 723_840,
      epochRows: 16,
      epochBytes: 11_581_440,
      chunksPerEpoch: 16,
      chunkElements: 361_920,
      chunkBytes: 723_840,
      epochsPerShard: 4,
      shardsPerRow: 1,
      chunksPerShard: 64,
      rowCount: null,
    });
  });

  it("agrees with counting, for small geometries", () => {
    fc.assert(
      fc.property(smallGeometries(), (g) => {
        const inner = g.shape.slice(1) as number[];
        const rows = [...coordinatesOf(inner)];
        const distinct = (sizes: readonly number[]) =>
          new Set(rows.map((at) => at.map((x, i) => Math.floor(x / sizes[i + 1])).join())).size;
        expect(g.rowElements).toBe(rows.length);
        expect(g.chunksPerEpoch).toBe(distinct(g.chunk));
        expect(g.shardsPerRow).toBe(distinct(g.shard));
        expect(g.chunkElements).toBe([...coordinatesOf(g.chunk)].length);
        expect(g.chunksPerShard * g.chunkElements).toBe(g.shard.reduce((a, b) => a * b, 1));
        expect(g.epochBytes).toBe(rows.length * g.chunk[0] * itemBytes(g.dtype));
        expect(g.rowCount).toBe(g.shape[0]);
      }),
      { numRuns: 100 },
    );
  });

  it("takes rank 1 and defaults the shard to the chunk", () => {
    const g = describeGeometry("int8", [{ name: "t", size: 10, chunk: 4 }]);
    expect(g).toMatchObject({
      rowElements: 1,
      chunksPerEpoch: 1,
      shardsPerRow: 1,
      chunksPerShard: 1,
      shard: [4],
      rowCount: 10,
    });
  });

  it("takes chunks and shards larger than the array", () => {
    const g = describeGeometry("int8", [
      { name: "t", size: 1, chunk: 4, shard: 8 },
      { name: "x", size: 3, chunk: 5, shard: 10 },
    ]);
    expect(g).toMatchObject({ chunksPerEpoch: 1, shardsPerRow: 1, chunksPerShard: 4, rowElements: 3 });
  });

  it("is frozen all through, and plain enough to cross threads", () => {
    const g = describeGeometry("uint16", frame);
    for (const part of [g, g.shape, g.chunk, g.shard, g.names]) expect(Object.isFrozen(part)).toBe(true);
    expect(structuredClone(g)).toEqual(g);
  });

  it("leaves the caller's objects alone", () => {
    const own = structuredClone(frame);
    const g = describeGeometry("uint16", own);
    (own[1] as { chunk: number }).chunk = 1;
    expect(g.chunk).toEqual([16, 130, 174]);
  });

  const one = (over: object, at = 1) => frame.map((d, i) => (i === at ? { ...d, ...over } : d));
  it.each<[string, string, unknown, object]>([
    ["no array", "INVALID_OPTION", undefined, { option: "array.dimensions" }],
    ["no dimension", "BAD_GEOMETRY", [], { rank: 0 }],
    [
      "33 dimensions",
      "BAD_GEOMETRY",
      Array.from({ length: 33 }, (_, i) => ({ name: `d${i}`, size: 1, chunk: 1 })),
      { rank: 33 },
    ],
    [
      "a hole",
      "INVALID_OPTION",
      Object.assign(new Array(3), { 0: frame[0], 2: frame[2] }),
      { option: "array.dimensions[1]" },
    ],
    ["an empty name", "INVALID_OPTION", one({ name: "" }), { option: "array.dimensions[1].name" }],
    ["a name twice", "INVALID_OPTION", one({ name: "t" }), { option: "array.dimensions[1].name", dimension: "t" }],
    ["size 0 inside", "INVALID_OPTION", one({ size: 0 }), { dimension: "y", given: "0" }],
    ["size 0 in front", "INVALID_OPTION", one({ size: 0 }, 0), { dimension: "t", given: "0" }],
    ["null inside", "BAD_GEOMETRY", one({ size: null }), { dimension: "y" }],
    ["no size", "INVALID_OPTION", one({ size: undefined }), { option: "array.dimensions[1].size" }],
    ["a fraction", "INVALID_OPTION", one({ size: 2.5 }), { given: "2.5" }],
    ["text for a number", "INVALID_OPTION", one({ size: "520" }), { given: "520" }],
    ["chunk 0", "INVALID_OPTION", one({ chunk: 0 }), { option: "array.dimensions[1].chunk", dimension: "y" }],
    ["a negative chunk", "INVALID_OPTION", one({ chunk: -1 }), { given: "-1" }],
    ["a chunk beyond 2^53", "INVALID_OPTION", one({ chunk: 2 ** 53 }), { dimension: "y" }],
    ["a shard that cuts chunks", "BAD_GEOMETRY", one({ shard: 500 }), { dimension: "y", shard: 500, chunk: 130 }],
    ["a shard below its chunk", "BAD_GEOMETRY", one({ shard: 100 }), { dimension: "y", shard: 100, chunk: 130 }],
    [
      "a chunk too large",
      "BAD_GEOMETRY",
      one({ chunk: 10_000_000, shard: undefined }),
      { dimension: "y", limit: CHUNK_BYTES_MAX },
    ],
    [
      "too many chunks in a shard",
      "BAD_GEOMETRY",
      one({ chunk: 1, shard: 2 ** 25 }),
      { dimension: "y", limit: CHUNKS_PER_SHARD_MAX },
    ],
    ["too many elements", "BAD_GEOMETRY", one({ size: 2 ** 50 }), {}],
    ["too many rows", "BAD_GEOMETRY", one({ size: 2 ** 40 }, 0), {}],
  ])("refuses %s", (_, code, dimensions, context) => {
    const error = refused("uint16", dimensions);
    expect(error.code).toBe(code);
    expect(error.context).toMatchObject(context);
  });

  it("says the nearest legal shards", () => {
    expect(refused("uint16", one({ shard: 500 })).message).toContain("390 and 520");
    expect(refused("uint16", one({ shard: 100 })).message).toContain("multiples are 130.");
  });

  it("names the dtype that was meant", () => {
    const error = refused("unit16", frame);
    expect(error.code).toBe("UNKNOWN_DTYPE");
    expect(error.hint).toBe('Did you mean "uint16"?');
    expect(refused(undefined, frame).code).toBe("UNKNOWN_DTYPE");
    expect(refused("complex128", frame).hint).toContain("float64");
  });
});
