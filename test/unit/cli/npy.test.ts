import { describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import { checkNpy, readNpyLayout } from "../../../src/cli/npy.js";
import { memorySource } from "../../../src/tiff/byte_source.js";

function npy(header: string, dataBytes: number, version = 1): Uint8Array {
  const length = version === 1 ? 2 : 4;
  const file = new Uint8Array(8 + length + header.length + dataBytes);
  file.set([0x93, ...[..."NUMPY"].map((letter) => letter.charCodeAt(0)), version, 0]);
  const view = new DataView(file.buffer);
  if (version === 1) view.setUint16(8, header.length, true);
  else view.setUint32(8, header.length, true);
  file.set(new TextEncoder().encode(header), 8 + length);
  return file;
}

const header = (descr: string, shape: string, fortran = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape}), }          \n`;
const layoutOf = (file: Uint8Array) => readNpyLayout(memorySource("a.npy", file));

describe("NumPy files", () => {
  it.each([
    ["<u2", "uint16", true, 2],
    [">u2", "uint16", false, 2],
    ["|u1", "uint8", true, 1],
    ["<i8", "int64", true, 8],
    [">f4", "float32", false, 4],
    ["<f2", "float16", true, 2],
  ])("reads the header of %s elements", async (descr, dtype, littleEndian, size) => {
    for (const version of [1, 2, 3]) {
      const text = header(descr, "2, 3, 5");
      expect(await layoutOf(npy(text, 30 * size, version))).toEqual({
        dtype,
        shape: [2, 3, 5],
        littleEndian,
        dataOffset: (version === 1 ? 10 : 12) + text.length,
        dataBytes: 30 * size,
      });
    }
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["Fortran order", npy(header("<u2", "2, 3", "True"), 12), /Fortran order/],
    ["booleans", npy(header("|b1", "2,"), 2), /elements are \|b1/],
    ["complex numbers", npy(header("<c8", "2,"), 16), /elements are <c8/],
    ["structures", npy("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (2,), }", 4), /have fields/],
    ["no shape", npy("{'descr': '<u2', 'fortran_order': False}", 4), /names no shape/],
    ["too few elements", npy(header("<u2", "2, 3"), 11), /take 12 bytes, 11 are there/],
    ["a claim of gigabytes", npy(header("<u2", "999999999, 999999999"), 11), /cut off/],
    ["another version", npy(header("<u2", "1,"), 2, 4), /version 4/],
    ["a long header", npy(header("<u2", "1,"), 2).fill(0xff, 8, 10), /header says it has 65535/],
    ["nothing", npy("", 0).subarray(0, 9), /cut off/],
  ])("refuses %s", async (_, file, message) => {
    await expect(layoutOf(file)).rejects.toThrow(message);
    await expect(layoutOf(file)).rejects.toMatchObject({ code: "INVALID_DATA" });
  });

  it("compares type and shape with the array's", async () => {
    const source = { ...memorySource("a.npy", new Uint8Array(0)) };
    const check =
      (shape: number[], dims: string, dtype: "uint16" | "int16" = "uint16") =>
      () =>
        checkNpy(
          source,
          { dtype: "uint16", shape, littleEndian: true, dataOffset: 0, dataBytes: 0 },
          { dtype, dimensions: parseDims(dims) },
        );
    expect(check([9, 3, 5], "t:0:1,y:3:1,x:5:1")).not.toThrow();
    expect(check([9, 3, 5], "t:20:1,y:3:1,x:5:1")).not.toThrow();
    expect(check([3, 5], "t:0:1,y:3:1,x:5:1")).not.toThrow();
    expect(check([9, 3, 5], "t:0:1,y:5:1,x:3:1")).toThrow(/it is 9 × 3 × 5; --dims says any × 5 × 3 for t, y, x/);
    expect(check([9, 3, 5], "t:0:1,c:8:1,y:3:1,x:5:1")).toThrow(/--dims says 8 × 3 × 5/);
    expect(check([1, 9, 3, 5], "t:0:1,y:3:1,x:5:1")).toThrow(/--dims/);
    expect(check([9, 3, 5], "t:0:1,y:3:1,x:5:1", "int16")).toThrow(/elements are uint16; --dtype says int16/);
  });
});
