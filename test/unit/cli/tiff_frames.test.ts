import { describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import { tiffFrames } from "../../../src/cli/tiff_frames.js";
import type { DType } from "../../../src/geometry/dtype.js";
import { buildTiff, type TiffPage } from "./tiff_builder.js";

const WIDTH = 5;
const HEIGHT = 3;
const coordinates = (page: number, count = WIDTH * HEIGHT) => Array.from({ length: count }, (_, i) => 300 * page + i);
const page = (index: number, extra: Partial<TiffPage> = {}): TiffPage => ({
  width: WIDTH,
  height: HEIGHT,
  samples: coordinates(index),
  ...extra,
});

function frames(file: Uint8Array, dtype: DType = "uint16", dims = `t:0:1,y:${HEIGHT}:1,x:${WIDTH}:1`): Uint8Array[] {
  return [...tiffFrames(file, { input: "a.tif", dtype, dimensions: parseDims(dims) })].map((f) => f.slice());
}

function littleEndian16(values: readonly number[]): Uint8Array {
  const out = new Uint8Array(values.length * 2);
  const view = new DataView(out.buffer);
  for (const [i, value] of values.entries()) view.setUint16(i * 2, value, true);
  return out;
}

describe("tiffFrames", () => {
  it.each([true, false])("gives every page as little-endian elements (file little-endian: %s)", (little) => {
    const file = buildTiff([page(0), page(1, { rowsPerStrip: 2 }), page(2)], little);
    expect(frames(file)).toEqual([0, 1, 2].map((p) => littleEndian16(coordinates(p))));
  });

  it("keeps the bits of signed samples and of floats", () => {
    const signed = page(0, { format: 2, samples: coordinates(0).map((v) => -v) });
    const values = new Int16Array(frames(buildTiff([signed], false), "int16")[0].buffer);
    expect([...values]).toEqual(signed.samples.map((v) => (v === 0 ? 0 : v)));
    const float = page(0, { format: 3, bits: 32, samples: coordinates(0).map((v) => v / 4) });
    expect([...new Float32Array(frames(buildTiff([float], false), "float32")[0].buffer)]).toEqual(float.samples);
    const double = page(0, { format: 3, bits: 64, samples: coordinates(0).map((v) => v / 10) });
    expect([...new Float64Array(frames(buildTiff([double], true), "float64")[0].buffer)]).toEqual(double.samples);
    const bytes = page(0, { bits: 8 });
    expect([...frames(buildTiff([bytes], true), "uint8")[0]]).toEqual(bytes.samples);
  });

  it("takes colours as a last dimension", () => {
    const colours = page(0, {
      bits: 8,
      samplesPerPixel: 3,
      photometric: 2,
      samples: coordinates(0, WIDTH * HEIGHT * 3),
    });
    const dims = `t:0:1,y:${HEIGHT}:1,x:${WIDTH}:1,c:3:3`;
    expect([...frames(buildTiff([colours], true), "uint8", dims)[0]]).toEqual(colours.samples);
    expect(() => frames(buildTiff([colours], true), "uint8")).toThrow(/it is 3 × 5 × 3.*--dims says any × 3 × 5/);
  });

  it("lets the append dimension be any height of a page", () => {
    expect(frames(buildTiff([page(0)], true), "uint16", `y:0:1,x:${WIDTH}:1`)).toHaveLength(1);
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      "another dtype",
      buildTiff([page(0), page(1, { bits: 8 })], true),
      /a\.tif, page 1: its samples are uint8; --dtype says uint16/,
    ],
    ["signedness", buildTiff([page(0, { format: 2 })], true), /samples are int16; --dtype says uint16/],
    [
      "another size",
      buildTiff([page(0, { width: 3, height: 5 })], true),
      /page 0: it is 5 × 3; --dims says 3 × 5 for y, x/,
    ],
    ["WhiteIsZero", buildTiff([page(0, { photometric: 0 })], true), /WhiteIsZero/],
    [
      "a hidden ImageJ stack",
      buildTiff([page(0, { description: "ImageJ=1.53\nimages=40\nslices=40\n" })], true),
      /40 images/,
    ],
    ["a short file", new Uint8Array(5), /5 bytes long/],
    ["another format", new Uint8Array(64), /neither II nor MM/],
    ["BigTIFF", Uint8Array.of(0x49, 0x49, 43, 0, 8, 0, 0, 0), /BigTIFF/],
    ["another magic", Uint8Array.of(0x4d, 0x4d, 0, 7, 0, 0, 0, 8), /magic number is 7/],
    ["no page", Uint8Array.of(0x49, 0x49, 42, 0, 0, 0, 0, 0), /no page/],
    ["a directory outside the file", Uint8Array.of(0x49, 0x49, 42, 0, 99, 0, 0, 0), /past the end/],
  ])("refuses %s, naming file and reason", (_, file, message) => {
    expect(() => frames(file)).toThrow(message);
    expect(() => frames(file)).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
  });

  it("refuses planes that are stored apart, which the decoder would interleave wrongly", () => {
    const planes = page(0, {
      samplesPerPixel: 3,
      planar: 2,
      photometric: 2,
      samples: coordinates(0, WIDTH * HEIGHT * 3),
    });
    expect(() => frames(buildTiff([planes], true), "uint16", `t:0:1,y:${HEIGHT}:1,x:${WIDTH}:1,c:3:3`)).toThrow(
      /plane by plane/,
    );
  });

  it("refuses image data that ends early, after the pages before it", () => {
    const file = buildTiff([page(0), page(1)], true);
    // The strip of page 1 is moved behind the end of the file.
    const view = new DataView(file.buffer);
    let ifd = view.getUint32(4, true);
    ifd = view.getUint32(ifd + 2 + view.getUint16(ifd, true) * 12, true);
    for (let i = 0; i < view.getUint16(ifd, true); i++) {
      const at = ifd + 2 + i * 12;
      if (view.getUint16(at, true) === 273) view.setUint32(at + 8, file.byteLength - 4, true);
    }
    const pages = tiffFrames(file, { input: "a.tif", dtype: "uint16", dimensions: parseDims(`t:0:1,y:3:1,x:5:1`) });
    expect(pages.next().value).toEqual(littleEndian16(coordinates(0)));
    expect(() => pages.next()).toThrow(/a\.tif, page 1: cannot be decoded/);
  });

  it("refuses a list of pages that runs in a circle", () => {
    const file = buildTiff([page(0)], true);
    const view = new DataView(file.buffer);
    const ifd = view.getUint32(4, true);
    view.setUint32(ifd + 2 + view.getUint16(ifd, true) * 12, ifd, true);
    expect(() => frames(file)).toThrow(/in a circle/);
  });
});
