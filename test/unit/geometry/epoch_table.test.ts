import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ArrayGeometry, describeGeometry } from "../../../src/geometry/array_geometry.js";
import {
  epochsFor,
  indexEntriesPerEpoch,
  shardKeyCoordinates,
  shardRowsFor,
} from "../../../src/geometry/chunk_grid.js";
import { epochTable, epochTableBytes } from "../../../src/geometry/epoch_table.js";
import { coordinatesOf, smallGeometries } from "./geometries.js";

/** Element (row, inner…) of the whole array as text: what a cell of the test data holds. */
const cell = (at: readonly number[]) => at.join(",");

/** A chunk cut out of the array by its definition: element i of chunk c is at c · chunk + i, or padding. */
function chunkByDefinition(g: ArrayGeometry, chunkAt: readonly number[], rows: number): (string | null)[] {
  const shape = [rows, ...(g.shape.slice(1) as number[])];
  return [...coordinatesOf(g.chunk)].map((i) => {
    const at = i.map((x, d) => chunkAt[d] * g.chunk[d] + x);
    return at.every((x, d) => x < shape[d]) ? cell(at) : null;
  });
}

/** The same chunk as an encoder gathers it from the epoch slab, by the table. */
function chunkByTable(g: ArrayGeometry, slab: readonly string[], c: number): (string | null)[] {
  const table = epochTable(g);
  const extents = table.extents.subarray(c * g.rank, (c + 1) * g.rank);
  return [...coordinatesOf(g.chunk)].map((i) => {
    if (!i.every((x, d) => x < extents[d])) return null;
    let offset = table.srcOffset[c];
    for (let d = 0; d < g.rank; d++) offset += i[d] * table.srcStrides[d];
    return slab[offset / g.itemBytes];
  });
}

/** Where the definition puts a chunk: inner shard coordinates, and entry in that shard's index. */
function placeByDefinition(g: ArrayGeometry, chunkAt: readonly number[]): { key: number[]; entry: number } {
  const per = g.shard.map((shard, d) => shard / g.chunk[d]);
  const inside = chunkAt.map((x, d) => x % per[d]);
  const entry = [...coordinatesOf(per)].findIndex((at) => cell(at) === cell(inside));
  return { key: chunkAt.map((x, d) => Math.floor(x / per[d])), entry };
}

describe("epoch table", () => {
  it("moves every coordinate of an epoch to the chunk, shard and index entry it belongs to", () => {
    fc.assert(
      fc.property(smallGeometries(), fc.integer({ min: 0, max: 5 }), (g, epoch) => {
        const inner = g.shape.slice(1) as number[];
        const table = epochTable(g);
        const grid = inner.map((size, i) => Math.ceil(size / g.chunk[i + 1]));
        const slab = [...coordinatesOf([g.epochRows, ...inner])].map(([row, ...rest]) =>
          cell([epoch * g.epochRows + row, ...rest]),
        );
        const expected = new Map(
          [...coordinatesOf(grid)].map((at) => {
            const chunkAt = [epoch, ...at];
            const { key, entry } = placeByDefinition(g, chunkAt);
            return [`${cell(key)}:${entry}`, chunkByDefinition(g, chunkAt, (epoch + 1) * g.epochRows)];
          }),
        );
        expect(table.srcOffset.length).toBe(expected.size);
        const shardRow = Math.floor(epoch / g.epochsPerShard);
        for (let c = 0; c < g.chunksPerEpoch; c++) {
          const key = shardKeyCoordinates(g, shardRow, table.shard[c]);
          const entry = (epoch % g.epochsPerShard) * indexEntriesPerEpoch(g) + table.innerPosition[c];
          const place = `${cell(key)}:${entry}`;
          expect(chunkByTable(g, slab, c)).toEqual(expected.get(place));
          expected.delete(place);
        }
        expect(expected.size).toBe(0);
      }),
      { numRuns: 120 },
    );
  });

  it("lists chunks by shard, then by position, and says where each shard starts", () => {
    fc.assert(
      fc.property(smallGeometries(), (g) => {
        const { shard, innerPosition, shardStart, shardsPerRow, entriesPerEpoch } = epochTable(g);
        expect(shardStart.length).toBe(shardsPerRow + 1);
        expect([shardStart[0], shardStart[shardsPerRow]]).toEqual([0, g.chunksPerEpoch]);
        for (let s = 0; s < shardsPerRow; s++) {
          expect(shardStart[s + 1]).toBeGreaterThan(shardStart[s]);
          for (let c = shardStart[s]; c < shardStart[s + 1]; c++) {
            expect(shard[c]).toBe(s);
            if (c > shardStart[s]) expect(innerPosition[c]).toBeGreaterThan(innerPosition[c - 1]);
            expect(innerPosition[c]).toBeLessThan(entriesPerEpoch);
          }
        }
        expect(entriesPerEpoch * g.epochsPerShard).toBe(g.chunksPerShard);
        expect(indexEntriesPerEpoch(g)).toBe(entriesPerEpoch);
      }),
      { numRuns: 100 },
    );
  });

  it("shows its shape in one case that can be checked by eye", () => {
    // Inner 5 × 3 in chunks of 2 × 2: a 3 × 2 grid; shards of 2 × 1 chunks: a 2 × 2 grid, the lower ones half outside.
    const g = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 4 },
      { name: "y", size: 5, chunk: 2, shard: 4 },
      { name: "x", size: 3, chunk: 2, shard: 2 },
    ]);
    const table = epochTable(g);
    expect([...table.shard]).toEqual([0, 0, 1, 1, 2, 3]);
    expect([...table.innerPosition]).toEqual([0, 1, 0, 1, 0, 0]);
    expect([...table.shardStart]).toEqual([0, 2, 4, 5, 6]);
    expect([...table.srcOffset]).toEqual([0, 12, 4, 16, 24, 28]);
    expect([...table.extents]).toEqual([4, 2, 2, 4, 2, 2, 4, 2, 1, 4, 2, 1, 4, 1, 2, 4, 1, 1]);
    expect([...table.srcStrides]).toEqual([30, 6, 2]);
  });

  it("takes the memory that the plan counts", () => {
    fc.assert(
      fc.property(smallGeometries(), (g) => {
        const arrays = Object.values(epochTable(g)).filter((part) => ArrayBuffer.isView(part));
        expect(arrays.reduce((sum, part) => sum + part.byteLength, 0)).toBe(epochTableBytes(g));
      }),
      { numRuns: 30 },
    );
  });

  it("keeps offsets exact in slabs beyond 2^32 bytes", () => {
    const g = describeGeometry("uint8", [
      { name: "t", size: null, chunk: 1 },
      { name: "y", size: 2 ** 33 + 1, chunk: 2 ** 30 },
    ]);
    const { srcOffset, extents } = epochTable(g);
    expect(srcOffset[8]).toBe(2 ** 33);
    expect([...extents.slice(-2)]).toEqual([1, 1]);
  });
});

describe("rows, epochs and shard rows", () => {
  it("cover every row once", () => {
    fc.assert(
      fc.property(smallGeometries(), fc.integer({ min: 0, max: 60 }), (g, rows) => {
        const epochs = epochsFor(g, rows);
        expect(epochs * g.epochRows).toBeGreaterThanOrEqual(rows);
        expect((epochs - 1) * g.epochRows).toBeLessThan(rows);
        expect(shardRowsFor(g, rows)).toBe(Math.ceil(epochs / g.epochsPerShard));
      }),
    );
  });
});
