import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import type { DType } from "../../../src/geometry/dtype.js";
import { memorySource } from "../../../src/tiff/byte_source.js";
import { TiffFile } from "../../../src/tiff/tiff_file.js";
import { buildTiff, encodeLzw, type TiffPage } from "./tiff_builder.js";

const WIDTH = 5;
const HEIGHT = 3;
const coordinates = (page: number, count = WIDTH * HEIGHT) => Array.from({ length: count }, (_, i) => 300 * page + i);
const page = (index: number, extra: Partial<TiffPage> = {}): TiffPage => ({
  width: WIDTH,
  height: HEIGHT,
  samples: coordinates(index),
  ...extra,
});

async function frames(
  file: Uint8Array,
  dtype: DType = "uint16",
  dims = `t:0:1,y:${HEIGHT}:1,x:${WIDTH}:1`,
): Promise<Uint8Array[]> {
  const tiff = await TiffFile.open(memorySource("a.tif", file));
  const all: Uint8Array[] = [];
  for await (const frame of tiff.frames({ dtype, dimensions: parseDims(dims) })) {
    all.push(frame.slice());
    // A frame is valid until the next one is asked for.
    frame.fill(0xee);
  }
  return all;
}

function littleEndian16(values: readonly number[]): Uint8Array {
  const out = new Uint8Array(values.length * 2);
  const view = new DataView(out.buffer);
  for (const [i, value] of values.entries()) view.setUint16(i * 2, value, true);
  return out;
}

const deflate = { code: 8, encode: (bytes: Uint8Array) => deflateSync(bytes) };
/** 5 bytes as they are, then the rest in runs of one, with a no-op between. */
const packBits = {
  code: 32773,
  encode: (bytes: Uint8Array) =>
    Uint8Array.from([4, ...bytes.subarray(0, 5), 128, ...[...bytes.subarray(5)].flatMap((b) => [0, b])]),
};

describe("frames of a TIFF", () => {
  it.each([
    [true, false],
    [false, false],
    [true, true],
    [false, true],
  ])("gives every page as little-endian elements (file little-endian: %s, BigTIFF: %s)", async (little, big) => {
    const file = buildTiff([page(0), page(1, { rowsPerStrip: 2 }), page(2, { tile: [16, 16] })], little, big);
    expect(await frames(file)).toEqual([0, 1, 2].map((p) => littleEndian16(coordinates(p))));
  });

  it("keeps the bits of signed samples and of floats", async () => {
    const signed = page(0, { format: 2, samples: coordinates(0).map((v) => -v) });
    const values = new Int16Array((await frames(buildTiff([signed], false), "int16"))[0].buffer);
    expect([...values]).toEqual(signed.samples.map((v) => (v === 0 ? 0 : v)));
    const float = page(0, { format: 3, bits: 32, samples: coordinates(0).map((v) => v / 4) });
    expect([...new Float32Array((await frames(buildTiff([float], false), "float32"))[0].buffer)]).toEqual(
      float.samples,
    );
    const double = page(0, { format: 3, bits: 64, samples: coordinates(0).map((v) => v / 10) });
    expect([...new Float64Array((await frames(buildTiff([double], true), "float64"))[0].buffer)]).toEqual(
      double.samples,
    );
    const bytes = page(0, { bits: 8 });
    expect([...(await frames(buildTiff([bytes], true), "uint8"))[0]]).toEqual(bytes.samples);
    const long = page(0, { bits: 64, samples: coordinates(0).map((v) => 2n ** 60n + BigInt(v)) });
    expect([...new BigUint64Array((await frames(buildTiff([long], false), "uint64"))[0].buffer)]).toEqual(long.samples);
  });

  it.each([1, 2, 4, 7, 9, 10, 12, 14, 15])("expands packed samples of %i bits", async (bits) => {
    const samples = coordinates(0).map((v) => (v * 2654435761) % 2 ** bits);
    const file = buildTiff([page(0, { bits, samples, rowsPerStrip: 2 })], false);
    const [frame] = await frames(file, bits < 8 ? "uint8" : "uint16");
    expect([...(bits < 8 ? frame : new Uint16Array(frame.buffer))]).toEqual(samples);
  });

  describe.each([
    ["Deflate", deflate],
    ["old Deflate", { ...deflate, code: 32946 }],
    ["LZW", { code: 5, encode: encodeLzw }],
    ["PackBits", packBits],
  ])("%s", (_, compression) => {
    const noise = (bits: number, count: number) =>
      Array.from({ length: count }, (_, i) => BigInt.asUintN(bits, BigInt(i) * 0x9e3779b97f4a7c15n + 7n));
    it.each(
      [8, 16, 32, 64].flatMap((bits) =>
        ([1, 2] as const).flatMap((predictor) => [true, false].map((little) => [bits, predictor, little] as const)),
      ),
    )("tiles and strips of %i bits, predictor %i, little-endian: %s", async (bits, predictor, little) => {
      const [width, height] = [40, 20];
      const samples = noise(bits, width * height);
      const base = {
        width,
        height,
        samples,
        bits,
        predictor: compression === packBits ? 1 : predictor,
        compression,
      } as const;
      const file = buildTiff(
        [
          { ...base, tile: [16, 16] },
          { ...base, rowsPerStrip: 7 },
        ],
        little,
      );
      const got = await frames(file, `uint${bits}` as DType, `t:0:1,y:${height}:1,x:${width}:1`);
      const view = new DataView(new ArrayBuffer((samples.length * bits) / 8));
      for (const [i, value] of samples.entries()) {
        for (let b = 0; b < bits / 8; b++) view.setUint8((i * bits) / 8 + b, Number((value >> BigInt(8 * b)) & 255n));
      }
      expect(got).toEqual([new Uint8Array(view.buffer), new Uint8Array(view.buffer)]);
    });
  });

  it.each([
    [32, true],
    [64, false],
  ] as const)("undoes the floating point predictor (%i bits, little-endian: %s)", async (bits, little) => {
    const samples = coordinates(0, 40 * 20 * 3).map((v) => v / 8 - 300);
    const file = buildTiff(
      [
        {
          width: 40,
          height: 20,
          samples,
          bits,
          format: 3,
          samplesPerPixel: 3,
          photometric: 2,
          predictor: 3,
          tile: [16, 16],
          compression: deflate,
        },
      ],
      little,
    );
    const [frame] = await frames(file, `float${bits}`, "t:0:1,y:20:1,x:40:1,c:3:3");
    expect([...(bits === 32 ? new Float32Array(frame.buffer) : new Float64Array(frame.buffer))]).toEqual(samples);
  });

  it.each([4094, 4095, 4096, 4097, 5000])("reads LZW whose table is cleared at code %i", async (clearAt) => {
    let x = 1;
    const samples = Array.from({ length: 128 * 128 }, () => {
      x = (x * 1103515245 + 12345) & 0x7fffffff;
      return 1500 + ((x >> 12) & 63);
    });
    const encode = (bytes: Uint8Array) => encodeLzw(bytes, clearAt > 4096 ? 4097 : clearAt);
    const file = buildTiff([{ width: 128, height: 128, samples, compression: { code: 5, encode } }], true);
    expect(await frames(file, "uint16", "t:0:1,y:128:1,x:128:1")).toEqual([littleEndian16(samples)]);
  });

  it("reads LZW that uses a code in the step that makes it", async () => {
    const samples = new Array<number>(5 * 3).fill(0x0707);
    const file = buildTiff([page(0, { samples, compression: { code: 5, encode: encodeLzw } })], true);
    expect(await frames(file)).toEqual([littleEndian16(samples)]);
  });

  it.each([1, 2])(
    "takes colours as a last dimension, or as one before the plane (PlanarConfiguration %i)",
    async (planar) => {
      const values = coordinates(0, WIDTH * HEIGHT * 3);
      const side = values.map((_, i) => (i % 3) * WIDTH * HEIGHT + Math.floor(i / 3));
      const samples = planar === 1 ? side : values;
      const colours = page(0, { samplesPerPixel: 3, photometric: 2, planar, samples, rowsPerStrip: 2 });
      const file = buildTiff([colours], true);
      expect(await frames(file, "uint16", `t:0:1,y:${HEIGHT}:1,x:${WIDTH}:1,c:3:3`)).toEqual([littleEndian16(side)]);
      const plane = WIDTH * HEIGHT;
      const apart = [0, 1, 2].map((s) => littleEndian16(values.slice(s * plane, (s + 1) * plane)));
      expect(await frames(file, "uint16", `t:0:1,c:3:3,y:${HEIGHT}:1,x:${WIDTH}:1`)).toEqual(apart);
      await expect(frames(file)).rejects.toThrow(/it is 3 × 5 × 3.*--dims says any × 3 × 5/);
    },
  );

  it("lets the append dimension be any height of a page", async () => {
    expect(await frames(buildTiff([page(0)], true), "uint16", `y:0:1,x:${WIDTH}:1`)).toHaveLength(1);
  });

  it("leaves reduced copies of images out", async () => {
    const small = { width: 2, height: 1, samples: [1, 2] };
    const file = buildTiff(
      [page(0), { ...small, tags: [[254, 4, [1]]] }, page(1), { ...small, tags: [[255, 3, [2]]] }],
      true,
    );
    expect(await frames(file)).toEqual([0, 1].map((p) => littleEndian16(coordinates(p))));
  });

  it("reads a plane at a time, and never the whole file", async () => {
    const file = buildTiff(
      Array.from({ length: 50 }, (_, i) => page(i, { rowsPerStrip: 1 })),
      true,
    );
    let most = 0;
    const inner = memorySource("a.tif", file);
    const tiff = await TiffFile.open({
      ...inner,
      read: (at, dst) => {
        most = Math.max(most, dst.byteLength);
        return inner.read(at, dst);
      },
    });
    for await (const _ of tiff.frames({ dtype: "uint16", dimensions: parseDims("t:0:1,y:3:1,x:5:1") }));
    expect(most).toBeLessThanOrEqual(8192);
  });
});

describe("zstd", () => {
  /** One frame of one raw block, with its size in the header (RFC 8878). */
  const encode = (b: Uint8Array) =>
    Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, b.length, ((b.length << 3) | 1) & 0xff, b.length >> 5, 0, ...b]);
  it.each([1, 2] as const)("is read, with predictor %i", async (predictor) => {
    const file = buildTiff([page(3, { predictor, compression: { code: 50000, encode } })], false);
    expect(await frames(file)).toEqual([littleEndian16(coordinates(3))]);
  });
  it("is refused where it is cut short", async () => {
    const file = buildTiff([page(3, { compression: { code: 50000, encode: (b) => encode(b).subarray(0, 20) } })], true);
    await expect(frames(file)).rejects.toThrow(/strip 0 \(zstd\): a block is cut short/);
  });
});

describe("what is refused, naming file and reason", () => {
  const tag = (number: number, ...values: number[]) => buildTiff([page(0, { tags: [[number, 3, values]] })], true);
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
    ["another size later", buildTiff([page(0), page(1, { width: 3, height: 5 })], true), /page 1: it is 5 × 3/],
    ["WhiteIsZero", tag(262, 0), /WhiteIsZero/],
    ["a palette", tag(262, 3), /palette/],
    ["YCbCr", tag(262, 6), /YCbCr/],
    ["Orientation", tag(274, 6), /Orientation is 6/],
    ["FillOrder", tag(266, 2), /FillOrder 2/],
    ["premultiplied alpha", tag(338, 1), /multiplied by alpha/],
    [
      "mixed bits",
      buildTiff([page(0, { samplesPerPixel: 2, samples: coordinates(0, 30), tags: [[258, 3, [16, 8]]] })], true),
      /differ in bits/,
    ],
    [
      "mixed formats",
      buildTiff([page(0, { samplesPerPixel: 2, samples: coordinates(0, 30), tags: [[339, 3, [1, 2]]] })], true),
      /differ in SampleFormat/,
    ],
    ["complex numbers", tag(339, 6), /SampleFormat 6/],
    ["24 bits", tag(258, 24), /uint24/],
    ["a volume", tag(32997, 3), /3 planes/],
    ["a mask", tag(254, 4), /mask/],
    ["JPEG", tag(259, 7), /compression 7 \(JPEG\)/],
    ["JPEG 2000", tag(259, 33005), /JPEG 2000/],
    ["an unknown compression", tag(259, 1234), /compression 1234 \(unknown\)/],
    ["an unknown predictor", tag(317, 34892), /predictor 34892/],
    [
      "the floating point predictor of integers",
      buildTiff([page(0, { compression: deflate, tags: [[317, 3, [3]]] })], true),
      /predictor 3/,
    ],
    ["a sparse strip", buildTiff([page(0, { tags: [[279, 4, [0]]] })], true), /left out/],
    [
      "a strip past the end",
      buildTiff([page(0, { tags: [[279, 4, [1e9]]] })], true),
      /cut off: its strip 0 ends at byte/,
    ],
    ["too few strips", buildTiff([page(0, { tags: [[278, 4, [1]]] })], true), /needs 3 strips/],
    [
      "a claim of gigabytes",
      buildTiff(
        [
          page(0, {
            tags: [
              [256, 4, [4e9]],
              [257, 4, [4e9]],
            ],
          }),
        ],
        true,
      ),
      /it says it is 4000000000 × 4000000000/,
    ],
    [
      "tables of gigabytes",
      buildTiff(
        [
          page(0, {
            tags: [
              [257, 4, [2 ** 31]],
              [278, 4, [1]],
            ],
          }),
        ],
        true,
      ),
      /needs 2147483648 strips/,
    ],
    [
      "a strip that holds too little",
      buildTiff([page(0, { compression: { code: 8, encode: (b) => deflateSync(b.subarray(1)) } })], true),
      /strip 0 \(deflate\): it holds 29 bytes, 30 are needed/,
    ],
    [
      "a damaged strip",
      buildTiff([page(0, { compression: { code: 8, encode: (b) => b } })], true),
      /strip 0 \(deflate\): unknown compression method/,
    ],
    [
      "a damaged LZW code",
      buildTiff([page(0, { compression: { code: 5, encode: () => Uint8Array.of(0x80, 0x7f, 0xff) } })], true),
      /LZW: code/,
    ],
    [
      "the old form of LZW",
      buildTiff([page(0, { compression: { code: 5, encode: () => Uint8Array.of(0, 1, 2) } })], true),
      /lowest bit first/,
    ],
    [
      "planes that nothing tells of",
      buildTiff([page(0, { compression: { code: 1, encode: (b) => Uint8Array.from([...b, ...b]) } })], true),
      /strips hold 60 bytes, and one plane takes 30/,
    ],
    ["a short file", new Uint8Array(5), /5 bytes long/],
    ["another format", new Uint8Array(64), /neither II nor MM/],
    [
      "a BigTIFF of another offset size",
      Uint8Array.of(0x49, 0x49, 43, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      /BigTIFF header/,
    ],
    ["another magic", Uint8Array.of(0x4d, 0x4d, 0, 7, 0, 0, 0, 8), /magic number is 7/],
    ["no page", Uint8Array.of(0x49, 0x49, 42, 0, 0, 0, 0, 0), /no page/],
    ["a directory outside the file", Uint8Array.of(0x49, 0x49, 42, 0, 99, 0, 0, 0), /past the end/],
  ])("%s", async (_, file, message) => {
    await expect(frames(file)).rejects.toThrow(message);
    await expect(frames(file)).rejects.toMatchObject({ code: "INVALID_DATA" });
  });

  it("image data that ends early, after the pages before it", async () => {
    const file = buildTiff([page(0), page(1, { tags: [[273, 4, [1e6]]] })], true);
    const tiff = await TiffFile.open(memorySource("a.tif", file));
    const all = tiff.frames({ dtype: "uint16", dimensions: parseDims("t:0:1,y:3:1,x:5:1") });
    expect((await all.next()).value).toEqual(littleEndian16(coordinates(0)));
    await expect(all.next()).rejects.toThrow(/a\.tif, page 1: cut off: its strip 0/);
  });

  it("a list of pages that runs in a circle", async () => {
    const file = buildTiff([page(0)], true);
    const view = new DataView(file.buffer);
    const ifd = view.getUint32(4, true);
    view.setUint32(ifd + 2 + view.getUint16(ifd, true) * 12, ifd, true);
    await expect(frames(file)).rejects.toThrow(/in a circle/);
  });
});
