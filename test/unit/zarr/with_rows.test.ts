import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { arrayMetadata } from "../../../src/zarr/array_metadata.js";
import { fillValue } from "../../../src/zarr/fill_value.js";
import { parseArrayMetadata } from "../../../src/zarr/parse_metadata.js";
import { withRows } from "../../../src/zarr/with_rows.js";

const utf8 = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("withRows", () => {
  it("writes what the writer would have written, digits of a 64-bit fill value included", () => {
    const geometry = describeGeometry("uint64", [
      { name: "t", size: null, chunk: 2, shard: 4 },
      { name: "x", size: 10, chunk: 5 },
    ]);
    const fill = fillValue("uint64", 18446744073709551557n);
    const make = (rows: number) =>
      arrayMetadata({ geometry, rows, codecs: [{ name: "bytes" }], fill, attributes: { shape: [7, 8], name: "µ" } });
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (before, after) => {
        expect(textOf(withRows(make(before), after))).toBe(textOf(make(after)));
      }),
    );
  });

  it.each([
    ['{"shape":[0,520],"b":{"shape":[1]}}', '{"shape":[12,520],"b":{"shape":[1]}}'],
    ['{"a":"\\"shape\\":[3]","shape" : [ 9 ] }', '{"a":"\\"shape\\":[3]","shape" : [ 12 ] }'],
    [
      '{\n "attributes": {"shape": [5]},\n "shape": [\n  4,\n  6\n ]\n}\n',
      '{\n "attributes": {"shape": [5]},\n "shape": [\n  12,\n  6\n ]\n}\n',
    ],
    ['{"shape":[1.0e1,2]}', '{"shape":[12,2]}'],
    // The last one counts, as in JSON.parse.
    ['{"shape":[1],"shape":[2]}', '{"shape":[1],"shape":[12]}'],
  ])("changes nothing but the first size of the shape: %s", (before, after) => {
    expect(textOf(withRows(utf8(before), 12))).toBe(after);
  });

  it("is read back as the new length", () => {
    const geometry = describeGeometry("int8", [{ name: "t", size: null, chunk: 3 }]);
    const bytes = arrayMetadata({ geometry, rows: 6, codecs: [{ name: "bytes" }], fill: fillValue("int8", -1) });
    expect(parseArrayMetadata(withRows(bytes, 9)).shape).toEqual([9]);
  });
});
