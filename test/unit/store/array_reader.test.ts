import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { product } from "../../../src/base/integers.js";
import type { CodecSpec } from "../../../src/codec/codec.js";
import { DTYPE_NAMES, type DType, itemBytes } from "../../../src/geometry/dtype.js";
import { increment, ravel } from "../../../src/geometry/mixed_radix.js";
import { openArray, openNode } from "../../../src/store/array_reader.js";
import { MemoryStore } from "../../../src/store/memory_store.js";
import type { StoreReader } from "../../../src/store/store_reader.js";
import { type CraftedArray, craftStore } from "../../helpers/craft_store.js";

/** A box cut out of an array, element by element. */
function cut(bytes: Uint8Array, shape: readonly number[], start: number[], stop: number[], size: number): Uint8Array {
  const extent = stop.map((to, d) => to - start[d]);
  const result = new Uint8Array(product([...extent, size]));
  if (result.length === 0) return result;
  const at = extent.map(() => 0);
  let to = 0;
  do {
    const from =
      ravel(
        at.map((a, d) => start[d] + a),
        shape,
      ) * size;
    result.set(bytes.subarray(from, from + size), to);
    to += size;
  } while (increment(at, extent));
  return result;
}

const arrayOf = fc
  .integer({ min: 1, max: 4 })
  .chain((rank) =>
    fc.record({
      dtype: fc.constantFrom(...DTYPE_NAMES),
      codec: fc.constantFrom<CodecSpec>(
        { name: "none" },
        { name: "blosc" },
        { name: "zstd" },
        { name: "zstd", level: 1 },
      ),
      dims: fc.array(
        fc.record({
          size: fc.integer({ min: 1, max: 7 }),
          chunk: fc.integer({ min: 1, max: 3 }),
          shard: fc.integer({ min: 1, max: 3 }),
        }),
        { minLength: rank, maxLength: rank },
      ),
      region: fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: rank, maxLength: rank }),
      absentEvery: fc.integer({ min: 0, max: 4 }),
    }),
  )
  .map(({ dtype, codec, dims, region, absentEvery }) => {
    const array: CraftedArray = {
      dtype,
      codec,
      shape: dims.map(({ size }) => size),
      chunk: dims.map(({ chunk }) => chunk),
      shard: dims.map(({ chunk, shard }) => chunk * shard),
      fill: dtype.startsWith("float") ? "NaN" : 77,
      absent: (c) => absentEvery > 0 && c.reduce((a, b) => a + b, 0) % absentEvery === 0,
    };
    const start = region.map(([a], d) => a % (array.shape[d] + 1));
    const stop = region.map(([, b], d) => start[d] + (b % (array.shape[d] - start[d] + 1)));
    return { array, start, stop };
  });

const KINDS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: (globalThis as { Float16Array?: typeof Uint16Array }).Float16Array ?? Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

describe("readRegion", () => {
  it("returns every element of any region of any array", async () => {
    await fc.assert(
      fc.asyncProperty(arrayOf, async ({ array, start, stop }) => {
        const { objects, expected } = await craftStore(array);
        const reader = await openArray(objects);
        const whole = await reader.readRegion();
        expect(whole.shape).toEqual(array.shape);
        expect([reader.shape, reader.dtype]).toEqual([array.shape, array.dtype]);
        expect(Buffer.compare(whole.data, expected)).toBe(0);
        const region = await reader.readRegion(start, stop);
        expect(region.shape).toEqual(stop.map((to, d) => to - start[d]));
        const wanted = cut(expected, array.shape, start, stop, itemBytes(array.dtype));
        expect(Buffer.compare(region.data, wanted)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  const ARRAY: CraftedArray = {
    dtype: "uint16",
    shape: [9, 10, 11],
    chunk: [2, 4, 3],
    shard: [4, 8, 6],
    codec: { name: "zstd", level: 1 },
  };

  it("reads an index at the start of the shard, and one without a checksum", async () => {
    const { objects, expected, keys } = await craftStore({ ...ARRAY, codec: { name: "none" } });
    const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
    const { configuration } = document.codecs[0];
    configuration.index_location = "start";
    configuration.index_codecs.pop();
    objects.set("zarr.json", new TextEncoder().encode(JSON.stringify(document)));
    for (const key of keys) {
      const shard = objects.get(key)!;
      const index = shard.slice(-(8 * 16 + 4), -4);
      const view = new DataView(index.buffer);
      for (let at = 0; at < index.length; at += 16) {
        const offset = view.getBigUint64(at, true);
        if (offset !== 2n ** 64n - 1n) view.setBigUint64(at, offset + BigInt(index.length), true);
      }
      objects.set(key, new Uint8Array(Buffer.concat([index, shard.subarray(0, -(8 * 16 + 4))])));
    }
    const { data } = await (await openArray(objects)).readRegion();
    expect(Buffer.compare(data, expected)).toBe(0);
  });

  it("reads arrays without shards, with both key encodings, and rank 0", async () => {
    for (const [encoding, key] of [
      [{ name: "default", configuration: { separator: "/" } }, "c/1/0"],
      [{ name: "default", configuration: { separator: "." } }, "c.1.0"],
      [{ name: "v2" }, "1.0"],
      [{ name: "v2", configuration: { separator: "/" } }, "1/0"],
    ] as const) {
      const objects = new Map<string, Uint8Array>([[key, Uint8Array.of(1, 2, 3, 4, 5, 6)]]);
      objects.set("zarr.json", plain([4, 3], [2, 3], encoding));
      const { data } = await (await openArray(objects)).readRegion();
      expect([...data]).toEqual([9, 9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6]);
    }
    const scalar = new Map([
      ["zarr.json", plain([], [], "default")],
      ["c", Uint8Array.of(42)],
    ]);
    expect(await (await openArray(scalar)).readRegion()).toEqual({
      chunksRead: 1,
      data: Uint8Array.of(42),
      values: Uint8Array.of(42),
      shape: [],
    });
    scalar.delete("c");
    expect((await (await openArray(scalar)).readRegion()).data).toEqual(Uint8Array.of(9));
  });

  it("sees a shard that appears later", async () => {
    const { objects, expected, keys } = await craftStore(ARRAY);
    const shard = objects.get(keys[0])!;
    objects.delete(keys[0]);
    const reader = await openArray(objects);
    expect((await reader.readRegion([0, 0, 0], [1, 1, 1])).data).toEqual(Uint8Array.of(0, 0));
    objects.set(keys[0], shard);
    expect((await reader.readRegion([0, 0, 0], [1, 1, 1])).data).toEqual(expected.subarray(0, 2));
  });

  /**
   * A store of three rows, and its shards once two more were appended: the chunk that was not full is another one, at
   * the same place.
   */
  async function grown() {
    const about = { ...ARRAY, codec: { name: "zstd" }, chunk: [2, 8, 6], shard: [4, 8, 6] } as const;
    const before = await craftStore({ ...about, shape: [3, 8, 6] });
    const after = await craftStore({ ...about, shape: [4, 8, 6] });
    expect(after.objects.get("c/0/0/0")).not.toEqual(before.objects.get("c/0/0/0"));
    return { before, after, rows: (data: Uint8Array) => data.subarray(0, 3 * 48 * 2) };
  }

  it("reads a shard anew that was replaced behind an index it has kept", async () => {
    const { before, after, rows } = await grown();
    const reader = await openArray(before.objects);
    expect((await reader.readRegion()).data).toEqual(before.expected);
    before.objects.set("c/0/0/0", after.objects.get("c/0/0/0")!);
    expect((await reader.readRegion()).data).toEqual(rows(after.expected));
  });

  it.each([1, 2, 3, 4])("reads a shard anew that is replaced before its %ith look at it", async (nth) => {
    const { before, after, rows } = await grown();
    let looks = 0;
    const swap = (key: string): void => {
      if (key.startsWith("c/") && ++looks === nth) before.objects.set(key, after.objects.get(key)!);
    };
    const memory = new MemoryStore(before.objects);
    const store: StoreReader = {
      location: "swapping",
      get: (key) => memory.get(key),
      list: (prefix) => memory.list(prefix),
      size: async (key) => {
        swap(key);
        return await memory.size(key);
      },
      getRange: async (key, offset, length) => {
        swap(key);
        return await memory.getRange(key, offset, length);
      },
    };
    expect((await (await openArray(store)).readRegion()).data).toEqual(rows(after.expected));
  });

  it("gives up on a shard that is never the same twice", async () => {
    const { objects } = await craftStore(ARRAY);
    const [key] = [...objects.keys()].filter((name) => name.startsWith("c/"));
    const memory = new MemoryStore(objects);
    let looks = 0;
    const store: StoreReader = {
      location: "restless",
      get: (name) => memory.get(name),
      list: (prefix) => memory.list(prefix),
      getRange: (name, offset, length) => memory.getRange(name, offset, length),
      size: async (name) => (name === key ? 1000 + ++looks : await memory.size(name)),
    };
    await expect((await openArray(store)).readRegion()).rejects.toMatchObject({ code: "STORE_CORRUPT" });
    expect(looks).toBeLessThan(20);
  });

  it("reads into memory of the caller's, shared or not, and only into the right amount", async () => {
    const { objects, expected } = await craftStore(ARRAY);
    const reader = await openArray(objects);
    const into = new Uint8Array(new SharedArrayBuffer(expected.byteLength + 8), 4, expected.byteLength).fill(0xee);
    const { data, chunksRead } = await reader.readRegion(undefined, undefined, { into });
    expect(data).toBe(into);
    expect(Buffer.compare(into, expected)).toBe(0);
    expect(chunksRead).toBeGreaterThan(1);
    const odd = reader.readRegion(undefined, undefined, { into: new Uint8Array(expected.byteLength + 1).subarray(1) });
    await expect(odd).rejects.toMatchObject({ code: "INVALID_OPTION", context: { option: "into", byteOffset: 1 } });
    const small = reader.readRegion(undefined, undefined, { into: new Uint8Array(3) });
    await expect(small).rejects.toMatchObject({ code: "INVALID_OPTION", context: { option: "into" } });
  });

  it.each(Object.entries(KINDS))("gives %s as what the language has for it", async (dtype, Kind) => {
    const { objects, expected } = await craftStore({ ...ARRAY, dtype: dtype as DType });
    const reader = await openArray(objects);
    expect(reader).toMatchObject({ dtype, shape: ARRAY.shape });
    const { values: data, data: bytes } = await reader.readRegion();
    expect(data).toBeInstanceOf(Kind);
    expect(data.length).toBe(product(ARRAY.shape));
    expect([data.buffer, data.byteOffset]).toEqual([bytes.buffer, bytes.byteOffset]);
    expect(bytes).toEqual(expected);
  });

  it("reads several shards at once, and no more than eight", async () => {
    const { objects, expected } = await craftStore({ dtype: "uint8", shape: [64, 4], chunk: [2, 4], shard: [2, 4] });
    const memory = new MemoryStore(objects);
    const waiting: (() => void)[] = [];
    let most = 0;
    const slow: Pick<StoreReader, "location" | "size" | "getRange"> = {
      location: "slow",
      size: (key) => memory.size(key),
      async getRange(key, offset, length) {
        if (key !== "zarr.json") {
          // All go on when no other read begins in this turn of the loop.
          await new Promise<void>((resolve) => {
            waiting.push(resolve);
            most = Math.max(most, waiting.length);
            setImmediate(() => {
              for (const go of waiting.splice(0)) go();
            });
          });
        }
        return await memory.getRange(key, offset, length);
      },
    };
    const reader = await openNode(slow, "");
    expect((await reader.readRegion()).data).toEqual(expected);
    expect(most).toBe(8);
  });

  it("joins neighbouring chunks into few reads, and reads an index once", async () => {
    const { objects } = await craftStore(ARRAY);
    const reads: string[] = [];
    const memory = new MemoryStore(objects);
    const counting: StoreReader = {
      location: "counting",
      get: (key) => memory.get(key),
      size: (key) => memory.size(key),
      list: (prefix) => memory.list(prefix),
      getRange: (key, offset, length) => {
        reads.push(`range ${key}`);
        return memory.getRange(key, offset, length);
      },
    };
    const reader = await openArray(counting);
    await reader.readRegion([0, 0, 0], [4, 8, 6]);
    await reader.readRegion([0, 0, 0], [4, 8, 6]);
    expect(reads).toEqual(["range zarr.json", "range c/0/0/0", "range c/0/0/0", "range c/0/0/0"]);
  });

  it("refuses bounds outside the array, and stops at a signal", async () => {
    const { objects } = await craftStore(ARRAY);
    const reader = await openArray(objects);
    for (const [start, stop] of [
      [
        [0, 0, 0],
        [10, 1, 1],
      ],
      [
        [2, 0, 0],
        [1, 1, 1],
      ],
      [
        [-1, 0, 0],
        [1, 1, 1],
      ],
      [
        [0, 0],
        [1, 1],
      ],
      [
        [0.5, 0, 0],
        [1, 1, 1],
      ],
    ]) {
      await expect(reader.readRegion(start, stop)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
    expect((await reader.readRegion([3, 3, 3], [3, 5, 5])).values.length).toBe(0);
    const signal = AbortSignal.abort();
    const aborted = reader.readRegion(undefined, undefined, { signal });
    await expect(aborted).rejects.toMatchObject({ code: "CALL_ABORTED", cause: signal.reason });
  });

  it("names key and place of damage", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const shard = objects.get(keys[0])!;
    shard[5] ^= 0xff;
    const reader = await openArray(objects);
    await expect(reader.readRegion()).rejects.toMatchObject({
      code: "STORE_CORRUPT",
      context: { key: keys[0], chunkStart: [0, 0, 0] },
    });
    shard[shard.length - 1] ^= 1;
    await expect((await openArray(objects)).readRegion()).rejects.toMatchObject({
      code: "STORE_CORRUPT",
      context: { key: keys[0], defect: "checksum" },
    });
  });
});

describe("openArray", () => {
  it("says what is not there", async () => {
    await expect(openArray(new Map())).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    const group = new Map([["zarr.json", new TextEncoder().encode('{"zarr_format":3,"node_type":"group"}')]]);
    await expect(openArray(group)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await expect(openArray(group, "../x")).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(openArray("/no/such/folder")).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await expect(openArray("gs://bucket/run.zarr")).rejects.toMatchObject({ code: "NOT_YET" });
  });
  it("opens an array below a group", async () => {
    const { objects, expected } = await craftStore({ dtype: "int8", shape: [3], chunk: [2], shard: [2], path: "a/b" });
    expect((await (await openArray(objects, "a/b")).readRegion()).data).toEqual(expected);
  });
});

function plain(shape: number[], chunk: number[], encoding: unknown): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      zarr_format: 3,
      node_type: "array",
      shape,
      data_type: "uint8",
      chunk_grid: { name: "regular", configuration: { chunk_shape: chunk } },
      chunk_key_encoding: encoding,
      fill_value: 9,
      codecs: ["bytes"],
    }),
  );
}
