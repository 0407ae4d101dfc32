import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChunkKeyEncoding, chunkKey, memberKey, parseChunkKey } from "../../../src/zarr/chunk_key.js";

const encodings: ChunkKeyEncoding[] = (["default", "v2"] as const).flatMap((name) =>
  (["/", "."] as const).map((separator) => ({ name, separator })),
);

describe("chunk keys", () => {
  it("are those of the specification", () => {
    expect(chunkKey([0, 1, 2])).toBe("c/0/1/2");
    expect(chunkKey([])).toBe("c");
    expect(encodings.map((e) => chunkKey([10, 0], e))).toEqual(["c/10/0", "c.10.0", "10/0", "10.0"]);
    expect(encodings.map((e) => chunkKey([], e))).toEqual(["c", "c", "0", "0"]);
  });

  it("are read back, and only at their own rank and encoding", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), fc.constantFrom(...encodings), (at, encoding) => {
        const key = chunkKey(at, encoding);
        expect(parseChunkKey(key, at.length, encoding)).toEqual(at);
        expect(parseChunkKey(key, at.length + 1, encoding)).toBeUndefined();
      }),
    );
  });

  it.each([
    "c/0/01",
    "c/0/-1",
    "c/0/",
    "c/0",
    "d/0/1",
    "c/0/1/2",
    "c/0/1.partial",
    "c/0/1e3",
    "zarr.json",
    "",
    "c/0/99999999999999999",
  ])("%j is no key of rank 2", (key) => {
    expect(parseChunkKey(key, 2)).toBeUndefined();
  });

  it("go below their node", () => {
    expect(memberKey("", "zarr.json")).toBe("zarr.json");
    expect(memberKey("0/labels", "c/0")).toBe("0/labels/c/0");
  });
});
