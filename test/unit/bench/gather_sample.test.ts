import { describe, expect, it } from "vitest";
import { gatherSample } from "../../../src/bench/gather_sample.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";

const dim = (name: string, size: number | null, chunk: number) => ({ name, size, chunk });

describe("gatherSample", () => {
  it("cuts chunks out of the ring by their coordinates, padding what lies outside", () => {
    const g = describeGeometry("uint16", [dim("t", null, 2), dim("y", 5, 3), dim("x", 4, 2)]);
    const rows = 2;
    const ring = new Uint16Array(rows * 20).map((_, i) => 1000 + i);
    const out = new Uint16Array(gatherSample(g, new Uint8Array(ring.buffer), 1 << 20).buffer);
    expect(out.length).toBe(g.chunksPerEpoch * g.chunkElements);
    for (let chunk = 0; chunk < 4; chunk++) {
      const [cy, cx] = [chunk >> 1, chunk & 1];
      for (let i = 0; i < 12; i++) {
        const [t, y, x] = [Math.floor(i / 6), 3 * cy + (Math.floor(i / 2) % 3), 2 * cx + (i % 2)];
        expect(out[chunk * 12 + i]).toBe(y < 5 ? 1000 + t * 20 + y * 4 + x : 0);
      }
    }
  });

  it("reads the ring round and round, and picks evenly when all chunks are too many", () => {
    const g = describeGeometry("uint16", [dim("t", null, 3), dim("y", 8, 2), dim("x", 4, 4)]);
    const ring = new Uint16Array(2 * 32).map((_, i) => i);
    const out = new Uint16Array(gatherSample(g, new Uint8Array(ring.buffer), 2 * g.chunkBytes).buffer);
    expect(out.length).toBe(2 * g.chunkElements);
    // Chunks 0 and 2 of four; row 2 is row 0 again.
    expect(out[0]).toBe(0);
    expect(out[g.chunkElements]).toBe(16);
    expect(out[16]).toBe(0);
    expect(out[8]).toBe(32);
  });
});
