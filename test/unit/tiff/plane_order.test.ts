import { describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import { memorySource } from "../../../src/tiff/byte_source.js";
import { TiffFile } from "../../../src/tiff/tiff_file.js";
import { buildTiff } from "./tiff_builder.js";

const HEIGHT = 2;
const WIDTH = 3;
const plane = (value: number) => new Array<number>(HEIGHT * WIDTH).fill(value);

/** A file of planes of one value each, 100 t + 10 c + z for stacks, with a description on the first page. */
function stack(values: readonly number[], description: string): Uint8Array<ArrayBuffer> {
  const pages = values.map((value, i) => ({
    width: WIDTH,
    height: HEIGHT,
    samples: plane(value),
    ...(i === 0 ? { description } : {}),
  }));
  return buildTiff(pages, true);
}

/** The value of each plane, in the order in which they come. */
async function planes(file: Uint8Array, leading: string): Promise<number[]> {
  const tiff = await TiffFile.open(memorySource("a.tif", file));
  const dimensions = parseDims(`${leading},y:${HEIGHT}:1,x:${WIDTH}:1`);
  const values: number[] = [];
  for await (const frame of tiff.frames({ dtype: "uint16", dimensions })) {
    const samples = new Uint16Array(frame.slice().buffer);
    expect([...samples]).toEqual(plane(samples[0]));
    values.push(samples[0]);
  }
  return values;
}

const SIZES = { t: 2, c: 3, z: 4 } as const;
type Letter = keyof typeof SIZES;

/** All planes in an order, slowest first. */
function inOrder(order: string): number[] {
  const [a, b, c] = [...order] as Letter[];
  const weight = { t: 100, c: 10, z: 1 };
  const values: number[] = [];
  for (let i = 0; i < SIZES[a]; i++)
    for (let j = 0; j < SIZES[b]; j++)
      for (let k = 0; k < SIZES[c]; k++) values.push(i * weight[a] + j * weight[b] + k * weight[c]);
  return values;
}

const dimsOf = (order: string) =>
  [...order].map((letter, i) => `${letter}:${i === 0 ? 0 : SIZES[letter as Letter]}:1`).join(",");
const ORDERS = ["tcz", "tzc", "ctz", "czt", "ztc", "zct"];

function ome(order: string, inside: string, more = ""): string {
  const fastest = [...order].reverse().join("").toUpperCase();
  return (
    `<?xml version="1.0"?><!-- <Pixels SizeC="9"/> --><OME xmlns="x" UUID="urn:uuid:1">` +
    `<Image ID="Image:0"><Pixels ID='Pixels:0' ` +
    `DimensionOrder="XY${fastest}" SizeX="${WIDTH}" SizeY="${HEIGHT}" SizeZ="4" SizeC="3" SizeT="2">` +
    `<Channel ID="a>b"/>${inside}</Pixels></Image>${more}</OME>`
  );
}

const imageJ = (more: string) => `ImageJ=1.54f\nimages=24\nchannels=3\nslices=4\nframes=2\nhyperstack=true\n${more}`;

describe("planes by the file's own order", () => {
  it.each(ORDERS.flatMap((file) => ORDERS.map((dims) => [file, dims])))(
    "OME-XML in order %s for --dims %s",
    async (file, dims) => {
      expect(await planes(stack(inOrder(file), ome(file, "<TiffData/>")), dimsOf(dims))).toEqual(inOrder(dims));
    },
  );

  it.each(ORDERS)("ImageJ for --dims %s", async (dims) => {
    expect(await planes(stack(inOrder("tzc"), imageJ("")), dimsOf(dims))).toEqual(inOrder(dims));
    // Another order is written fastest first.
    expect(await planes(stack(inOrder("ctz"), imageJ("order=ztc\n")), dimsOf(dims))).toEqual(inOrder(dims));
  });

  it.each(ORDERS)("tifffile's shape with axes for --dims %s", async (dims) => {
    const description = '{"shape": [4, 2, 3, 2, 3], "axes": "ZTCYX"}';
    expect(await planes(stack(inOrder("ztc"), description), dimsOf(dims))).toEqual(inOrder(dims));
  });

  it("takes TiffData as it comes: single planes, runs, and pages in any order", async () => {
    const singles = inOrder("tzc").map((value, page) => {
      const [t, c, z] = [Math.floor(value / 100), Math.floor(value / 10) % 10, value % 10];
      return (
        `<TiffData IFD="${page}" FirstT="${t}" FirstC="${c}" FirstZ="${z}" PlaneCount="1">` +
        `<UUID FileName="a.tif">urn:uuid:1</UUID></TiffData>`
      );
    });
    // The document says another order than the pages have: TiffData decides.
    expect(await planes(stack(inOrder("tzc"), ome("zct", singles.reverse().join(""))), dimsOf("tcz"))).toEqual(
      inOrder("tcz"),
    );
    const halves = `<TiffData IFD="12" FirstT="0" PlaneCount="12"/><TiffData IFD="0" FirstT="1" PlaneCount="12"/>`;
    const turned = [...inOrder("tcz").slice(12), ...inOrder("tcz").slice(0, 12)];
    expect(await planes(stack(turned, ome("tcz", halves)), dimsOf("tcz"))).toEqual(inOrder("tcz"));
  });

  it("knows long names, in any case", async () => {
    const file = stack(inOrder("tzc"), imageJ(""));
    expect(await planes(file, "Time:0:1,CHANNELS:3:1,depth:4:1")).toEqual(inOrder("tcz"));
  });

  it("takes a single axis for a single dimension, whatever their names", async () => {
    const description = "ImageJ=1.54f\nimages=3\nslices=3\n";
    expect(await planes(stack([5, 6, 7], description), "t:0:1")).toEqual([5, 6, 7]);
    expect(await planes(stack([5, 6, 7], description), "q:3:1")).toEqual([5, 6, 7]);
  });

  it("takes ImageJ's channels for the samples of a pixel where a page holds them all", async () => {
    const page = {
      width: WIDTH,
      height: HEIGHT,
      samplesPerPixel: 3,
      planar: 2,
      samples: [4, 5, 6].flatMap(plane),
      description: "ImageJ=1.54f\nimages=1\nchannels=3\n",
    };
    expect(await planes(buildTiff([page], true), "c:3:1")).toEqual([4, 5, 6]);
    // Without a count of images, each page is one.
    const uncounted = { ...page, description: "ImageJ=1.11a\nchannels=3\nmode=color\n" };
    expect(await planes(buildTiff([uncounted], true), "c:3:1")).toEqual([4, 5, 6]);
    const [first, second] = ["images=2\nchannels=3\nframes=2\n", "a title"];
    const film = [
      { ...page, description: `ImageJ=1.54f\n${first}` },
      { ...page, description: second },
    ];
    expect(await planes(buildTiff(film, true), "t:0:1,c:3:1")).toEqual([4, 5, 6, 4, 5, 6]);
  });

  it("takes a file that lacks slower dimensions for a part of the array", async () => {
    const description = "ImageJ=1.54f\nimages=4\nslices=4\n";
    expect(await planes(stack([0, 1, 2, 3], description), "t:0:1,c:3:1,z:4:1")).toEqual([0, 1, 2, 3]);
    await expect(planes(stack([0, 1, 2, 3], description), "t:0:1,z:4:1,c:3:1")).rejects.toThrow(/the file has no c/);
  });

  it("keeps the order of pages where nothing is said, and where frames were added one by one", async () => {
    expect(await planes(stack([9, 8, 7], "a title"), "t:0:1")).toEqual([9, 8, 7]);
    expect(await planes(stack(inOrder("tcz"), "a title"), dimsOf("tcz"))).toEqual(inOrder("tcz"));
    expect(await planes(stack([9, 8, 7], `{"shape": [${HEIGHT}, ${WIDTH}]}`), "t:0:1")).toEqual([9, 8, 7]);
  });

  it.each<[string, readonly number[], string, string, RegExp]>([
    [
      "sizes of another order",
      inOrder("tzc"),
      imageJ(""),
      "t:0:1,c:4:1,z:3:1",
      /by ImageJ's description its planes are ordered t:2, z:4, c:3; --dims says t:any, c:4, z:3: c has another size/,
    ],
    ["names that do not map", inOrder("tzc"), imageJ(""), "t:0:1,w:3:1,z:4:1", /no dimension is the file's c/],
    [
      "a dimension that the file lacks",
      [0, 1, 2, 3],
      "ImageJ=1\nimages=4\nframes=2\nslices=2",
      "t:0:1,c:3:1,z:2:1",
      /the file has no c/,
    ],
    [
      "shapes without names in another order",
      inOrder("tcz"),
      '{"shape": [2, 3, 4, 2, 3]}',
      "t:0:1,z:4:1,c:3:1",
      /has another size/,
    ],
    ["x before y", [1], "", "t:0:1,x:2:1", /stored row by row/],
    [
      "an ImageJ description that contradicts itself",
      [1, 2],
      "ImageJ=1\nimages=2\nslices=3",
      "t:0:1",
      /2 images, and c 1, z 3, t 1/,
    ],
    ["an ImageJ order of other letters", [1, 2], "ImageJ=1\nimages=2\norder=xyz", "t:0:1", /order=xyz/],
    [
      "an ImageJ description with fewer pages",
      [1, 2],
      "ImageJ=1\nimages=3",
      "t:0:1",
      /3 planes, and the file has 2 pages/,
    ],
    [
      "an ImageJ description with more pages",
      [1, 2, 3],
      "ImageJ=1\nimages=2",
      "t:0:1",
      /2 planes, and the file has 3 pages/,
    ],
    ["a shape of other planes", [1, 2], '{"shape": [2, 5, 5]}', "t:0:1", /shape is 2 × 5 × 5/],
    ["tifffile's description without a shape", [1], '{"shape": "x"}', "t:0:1", /holds no shape/],
    [
      "planes in other files",
      inOrder("tcz"),
      ome("tcz", '<TiffData><UUID FileName="b.tif">urn:uuid:2</UUID></TiffData>'),
      "t:0:1,c:3:1,z:4:1",
      /another file, b\.tif/,
    ],
    [
      "metadata in another file",
      [1],
      '<OME><BinaryOnly MetadataFile="m.ome"/></OME>',
      "t:0:1",
      /metadata lie in another file/,
    ],
    ["several images", [1], ome("tcz", "", "<Image><Pixels/></Image>"), "t:0:1", /2 images/],
    ["more planes than pages", [1, 2], ome("tcz", ""), "t:0:1,c:3:1,z:4:1", /24 planes, and the file has 2 pages/],
    [
      "planes without a page",
      inOrder("tcz"),
      ome("tcz", '<TiffData IFD="0" PlaneCount="23"/>'),
      "t:0:1,c:3:1,z:4:1",
      /no page for plane 23/,
    ],
    [
      "runs past the sizes",
      inOrder("tcz"),
      ome("tcz", '<TiffData IFD="0" PlaneCount="25"/>'),
      "t:0:1,c:3:1,z:4:1",
      /reaches past/,
    ],
    [
      "a page that is not there",
      inOrder("tcz"),
      ome("tcz", '<TiffData IFD="1" PlaneCount="24"/>'),
      "t:0:1,c:3:1,z:4:1",
      /names page 24/,
    ],
    [
      "OME-XML of another plane size",
      [1],
      ome("tcz", "").replace('SizeX="3"', 'SizeX="4"'),
      "t:0:1",
      /says 2 × 4, and the page is 2 × 3/,
    ],
    ["OME-XML that is none", [1], "<OME ", "t:0:1", /cannot be parsed/],
  ])("refuses %s", async (_, values, description, leading, message) => {
    const file = stack(values, description);
    const reading = leading.includes("x:") ? readSwapped(file) : planes(file, leading);
    await expect(reading).rejects.toThrow(message);
    await expect(leading.includes("x:") ? readSwapped(file) : planes(file, leading)).rejects.toMatchObject({
      code: "INVALID_DATA",
    });
  });
});

async function readSwapped(file: Uint8Array): Promise<void> {
  const tiff = await TiffFile.open(memorySource("a.tif", file));
  for await (const _ of tiff.frames({ dtype: "uint16", dimensions: parseDims("t:0:1,x:2:1,y:3:1") }));
}

describe("planes behind one page", () => {
  const all = [...plane(1), ...plane(2), ...plane(3)];
  /** One directory of the first plane, whose strip is followed by the others, as ImageJ writes files over 4 GiB. */
  const single = (
    description: string,
    samples = all,
    tags: readonly (readonly [number, 3 | 4, readonly number[]])[] = [],
  ) =>
    buildTiff(
      [
        {
          width: WIDTH,
          height: samples.length / WIDTH,
          samples,
          description,
          tags: [[257, 4, [HEIGHT]], [278, 4, [HEIGHT]], ...tags],
        },
      ],
      false,
    );

  it.each([
    ["ImageJ", "ImageJ=1.54f\nimages=3\n", []],
    ["tifffile", '{"shape": [3, 2, 3]}', []],
    ["MetaMorph", "a title", [[33629, 4, [0, 0, 0]]]],
  ] as const)("are all read: %s", async (_, description, tags) => {
    expect(await planes(single(description, all, tags), "t:0:1")).toEqual([1, 2, 3]);
    // Whatever the directory says of its strip's length.
    expect(await planes(single(description, all, [...tags, [279, 4, [12]]]), "t:0:1")).toEqual([1, 2, 3]);
  });

  it("are mapped as pages are", async () => {
    const samples = inOrder("tzc").flatMap(plane);
    expect(await planes(single(imageJ(""), samples), dimsOf("tcz"))).toEqual(inOrder("tcz"));
  });

  it("are refused where they are not all there, and where nothing tells of them", async () => {
    await expect(planes(single("ImageJ=1.54f\nimages=400\n"), "t:0:1")).rejects.toMatchObject({ code: "INVALID_DATA" });
    await expect(planes(single("a title"), "t:0:1")).rejects.toThrow(/planes behind it that nothing tells of/);
  });
});
