import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/codec/crc32c.js";
import { decodeShardIndex, readShardIndex, ShardIndex, shardIndexBytes } from "../../../src/zarr/shard_index.js";

type Entry = readonly [bigint, bigint];
/** Both words all ones: the chunk is absent (sharding_indexed, Zarr v3). */
const INDEX_ABSENT = 2n ** 64n - 1n;
const absent: Entry = [INDEX_ABSENT, INDEX_ABSENT];

/** An index written word by word, by the specification. */
function encode(entries: readonly Entry[], checksum = true): Uint8Array {
  const bytes = new Uint8Array(16 * entries.length + (checksum ? 4 : 0));
  const view = new DataView(bytes.buffer);
  for (const [i, [offset, nbytes]] of entries.entries()) {
    view.setBigUint64(16 * i, offset, true);
    view.setBigUint64(16 * i + 8, nbytes, true);
  }
  if (checksum) view.setUint32(16 * entries.length, crc32c(bytes.subarray(0, -4)), true);
  return bytes;
}

const kinds = (entries: readonly Entry[], dataBytes: number, over: object = {}) => {
  const bytes = encode(entries);
  const { index, defects } = decodeShardIndex(bytes, {
    chunkCount: entries.length,
    objectBytes: dataBytes + bytes.length,
    ...over,
  });
  return { index, found: defects.map(({ kind, chunk }) => [kind, chunk]) };
};

describe("shard index", () => {
  it("is all ones when nothing was entered", () => {
    expect(new ShardIndex(3).encode()).toEqual(encode([absent, absent, absent]));
    expect(new ShardIndex(3).presentCount()).toBe(0);
  });

  it("writes what the specification says and reads it back, up to 2^53", () => {
    const count = fc.oneof(fc.nat(), fc.integer({ min: 2 ** 32 - 2, max: 2 ** 32 + 2 }), fc.constant(2 ** 51));
    const entry = fc.option(
      fc.tuple(
        count,
        count.map((n) => n + 1),
      ),
    );
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 20 }), (entries) => {
        const index = new ShardIndex(entries.length);
        for (const [i, e] of entries.entries()) if (e !== null) index.set(i, e[0], e[1]);
        expect(index.encode()).toEqual(
          encode(entries.map((e) => (e === null ? absent : [BigInt(e[0]), BigInt(e[1])]))),
        );
        expect(index.presentCount()).toBe(entries.filter((e) => e !== null).length);
        for (const [i, e] of entries.entries()) {
          expect(index.get(i)).toEqual(e === null ? undefined : { offset: e[0], nbytes: e[1] });
        }
        expect(index.encode().length).toBe(shardIndexBytes(entries.length));
      }),
    );
  });

  it("takes the last set, and clears", () => {
    const index = new ShardIndex(2);
    index.set(1, 7, 5);
    index.set(1, 20, 3);
    index.set(0, 0, 1);
    index.clear(0);
    expect(index.encode()).toEqual(encode([absent, [20n, 3n]]));
  });

  it("asserts what only a bug can pass", () => {
    const index = new ShardIndex(2);
    for (const wrong of [
      () => index.set(2, 0, 1),
      () => index.set(-1, 0, 1),
      () => index.set(0, 0.5, 1),
      () => index.set(0, 2 ** 53, 1),
      () => index.get(2),
      () => index.clear(2),
      () => new ShardIndex(0),
    ]) {
      expect(wrong).toThrow(expect.objectContaining({ code: "INTERNAL" }));
    }
  });
});

describe("decoding a shard index", () => {
  it("accepts chunks in any order, gaps, and absent chunks", () => {
    const entries: Entry[] = [[60n, 40n], absent, [0n, 10n], [10n, 20n]];
    const { index, found } = kinds(entries, 100);
    expect(found).toEqual([]);
    expect(index?.get(0)).toEqual({ offset: 60, nbytes: 40 });
    expect(index?.get(1)).toBeUndefined();
    expect(index?.encode()).toEqual(encode(entries));
  });

  it("reads a view that is not aligned", () => {
    const bytes = encode([[3n, 4n]]);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeShardIndex(shifted.subarray(3), { chunkCount: 1, objectBytes: 7 + bytes.length }).defects).toEqual([]);
  });

  it.each<[string, Entry[], number, object, [string, number | undefined][]]>([
    [
      "past the data",
      [
        [0n, 10n],
        [95n, 6n],
      ],
      100,
      {},
      [["bounds", 1]],
    ],
    ["into the index", [[0n, 104n]], 100, {}, [["bounds", 0]]],
    ["beyond 2^53", [[2n ** 60n, 1n]], 100, {}, [["bounds", 0]]],
    ["of a length beyond 2^53", [[0n, 2n ** 63n]], 100, {}, [["bounds", 0]]],
    ["with only the offset absent", [[INDEX_ABSENT, 5n]], 100, {}, [["half_absent", 0]]],
    ["with only the length absent", [[5n, INDEX_ABSENT]], 100, {}, [["half_absent", 0]]],
    ["without bytes", [[5n, 0n]], 100, {}, [["size", 0]]],
    [
      "of another size than raw chunks have",
      [
        [0n, 16n],
        [16n, 15n],
      ],
      100,
      { exactChunkBytes: 16 },
      [["size", 1]],
    ],
    [
      "inside another",
      [
        [0n, 50n],
        [10n, 5n],
        [50n, 50n],
      ],
      100,
      {},
      [["overlap", 1]],
    ],
    [
      "the same as another",
      [
        [0n, 10n],
        [0n, 10n],
      ],
      100,
      {},
      [["overlap", 1]],
    ],
    [
      "reaching into the next",
      [
        [0n, 11n],
        [10n, 5n],
      ],
      100,
      {},
      [["overlap", 1]],
    ],
    [
      "before the data, index in front",
      [
        [35n, 5n],
        [36n, 5n],
      ],
      100,
      { location: "start" },
      [["bounds", 0]],
    ],
  ])("finds a chunk %s", (_, entries, dataBytes, over, expected) => {
    const { index, found } = kinds(entries, dataBytes, over);
    expect(found).toEqual(expected);
    for (const [, chunk] of expected) expect(index?.get(chunk!)).toBeUndefined();
    expect(index?.presentCount()).toBe(entries.length - expected.length);
  });

  it("finds a second overlap behind a long chunk", () => {
    expect(
      kinds(
        [
          [0n, 100n],
          [10n, 5n],
          [90n, 10n],
        ],
        100,
      ).found,
    ).toEqual([
      ["overlap", 1],
      ["overlap", 2],
    ]);
  });

  it("notices every flipped bit", () => {
    const bytes = encode([[0n, 10n], absent]);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const bad = bytes.slice();
      bad[bit >> 3] ^= 1 << (bit & 7);
      const { index, defects } = decodeShardIndex(bad, { chunkCount: 2, objectBytes: 10 + bytes.length });
      expect(index).toBeUndefined();
      expect(defects[0].kind).toBe("checksum");
    }
  });

  it("reads an index without checksum where the array says so", () => {
    const bytes = encode([[0n, 10n]], false);
    const { index, defects } = decodeShardIndex(bytes, { chunkCount: 1, objectBytes: 26, checksum: false });
    expect(defects).toEqual([]);
    expect(index?.encode()).toEqual(encode([[0n, 10n]]));
  });

  it("refuses another length", () => {
    const bytes = encode([absent]);
    const check = { chunkCount: 1, objectBytes: 100 };
    for (const wrong of [bytes.subarray(1), new Uint8Array(0), new Uint8Array(36)]) {
      expect(decodeShardIndex(wrong, check).defects[0].kind).toBe("length");
    }
    expect(decodeShardIndex(bytes, { chunkCount: 1, objectBytes: 19 }).defects[0].kind).toBe("length");
  });

  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(300), (bytes, more) => {
        const decoded = decodeShardIndex(bytes, { chunkCount: 4, objectBytes: 64 + more, checksum: false });
        let end = 0;
        const ranges = [0, 1, 2, 3].flatMap((c) => decoded.index?.get(c) ?? []).sort((a, b) => a.offset - b.offset);
        for (const { offset, nbytes } of ranges) {
          expect(offset).toBeGreaterThanOrEqual(end);
          end = offset + nbytes;
        }
        expect(end).toBeLessThanOrEqual(more);
      }),
    );
  });

  it("throws for readers that cannot go on, with the shard's key", () => {
    const bytes = encode([
      [0n, 10n],
      [5n, 10n],
      [6n, 10n],
    ]);
    const check = { chunkCount: 3, objectBytes: 100 + bytes.length };
    expect(() => readShardIndex(bytes, check, "c/0/1")).toThrow(
      expect.objectContaining({
        code: "STORE_CORRUPT",
        context: { key: "c/0/1", defect: "overlap", chunk: 1, defects: 2 },
      }),
    );
    expect(() => readShardIndex(bytes.subarray(1), check, "c/0/1")).toThrow(/c\/0\/1.*51 bytes/);
    const good = encode([[0n, 10n]]);
    expect(readShardIndex(good, { chunkCount: 1, objectBytes: 100 }, "k").get(0)).toEqual({ offset: 0, nbytes: 10 });
  });
});
