import { describe, expect, it } from "vitest";
import { DTYPE_NAMES } from "../../../src/geometry/dtype.js";
import { craftStore } from "../../helpers/craft_store.js";
import { readAllWithZarrita, zarritaLimit } from "../../helpers/zarrita_read.js";

const hasFloat16 = "Float16Array" in globalThis;

describe("crafted stores read by zarrita", () => {
  it.each(DTYPE_NAMES)("%s", async (dtype) => {
    for (const codec of [{ name: "none" }, { name: "blosc" }, { name: "zstd" }, { name: "zstd", level: 3 }] as const) {
      const { objects, expected } = await craftStore({
        dtype,
        shape: [5, 7, 6],
        chunk: [2, 3, 4],
        shard: [4, 3, 8],
        codec,
        fill: dtype.startsWith("float") ? "Infinity" : 100,
        absent: ([t, y]) => t === 1 && y < 2,
      });
      const limit = zarritaLimit(objects.get("zarr.json")!);
      if (dtype === "float16" && !hasFloat16) {
        expect(limit).toMatch(/float16/);
        await expect(readAllWithZarrita(objects)).rejects.toThrow(/float16/i);
        continue;
      }
      expect(limit).toBeUndefined();
      const region = await readAllWithZarrita(objects);
      expect(region.shape).toEqual([5, 7, 6]);
      expect(region.dimensionNames).toEqual(["d0", "d1", "d2"]);
      expect(Buffer.compare(region.data, expected)).toBe(0);
    }
  });

  it("knows which fill values zarrita cannot hold", async () => {
    const array = { shape: [4], chunk: [2], shard: [2], absent: () => true } as const;
    const limitOf = async (dtype: "uint64" | "float32", fill: bigint | string) =>
      zarritaLimit((await craftStore({ ...array, dtype, fill })).objects.get("zarr.json")!);
    expect(await limitOf("uint64", 2n ** 64n - 1n)).toMatch(/2\^53/);
    expect(await limitOf("uint64", 2n ** 53n - 1n)).toBeUndefined();
    expect(await limitOf("float32", "0x7fc00001")).toMatch(/bit pattern/);
    expect(await limitOf("float32", "NaN")).toBeUndefined();
  });
});
