import { readFile } from "node:fs/promises";
import { type Fill, SIMPLE_FILLS, type SimpleFill, simpleFill } from "../bench/fill.js";
import type { BenchSettings, FillSpec } from "../bench/job.js";
import { MillraceError } from "../index.js";
import { memorySource } from "../tiff/byte_source.js";
import { TiffFile } from "../tiff/tiff_file.js";
import { SyntheticCamera } from "./camera.js";
import { contentOf } from "./input_kind.js";

/** Edge of the synthetic camera; larger planes are tiled with it. */
const CAMERA_SIZE_MAX = 512;
const CAMERA_SEED = 1;
/** A last dimension up to this long counts as channels of a pixel. */
const CHANNELS_MAX = 4;

interface Image {
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint16Array;
}

/** The fill of a benchmark, also those that need files or the camera. */
export async function openBenchFill(spec: FillSpec, settings: Pick<BenchSettings, "dimensions">): Promise<Fill> {
  const rowShape = settings.dimensions.slice(1).map(({ size }) => size as number);
  if (isSimple(spec.name)) return simpleFill(spec.name, rowShape);
  const plane = planeOf(rowShape);
  if (spec.name === "images") {
    const images = await readImages(spec.files, plane);
    const mirrored = images.flatMap(mirrorings);
    // All images plain, then all mirrored one way, and so on: a few files fill a chunk without showing an encoder the
    // same one twice.
    const nth = (index: number): Image =>
      mirrored[(index % images.length) * 4 + (Math.floor(index / images.length) % 4)];
    return tiled("images", plane, nth);
  }
  const size = Math.min(CAMERA_SIZE_MAX, Math.max(plane.height, plane.width));
  const camera = new SyntheticCamera({ size, seed: CAMERA_SEED });
  const frame: Image = { height: size, width: size, pixels: new Uint16Array(size * size) };
  return tiled("camera", plane, (index) => {
    camera.expose(index, frame.pixels);
    return frame;
  });
}

function isSimple(name: string): name is SimpleFill {
  return (SIMPLE_FILLS as readonly string[]).includes(name);
}

interface Plane {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Planes of one row. */
  readonly count: number;
}

/** How a row falls into images: the last two dimensions, or the last three when the last one is channels. */
function planeOf(rowShape: readonly number[]): Plane {
  const last = rowShape[rowShape.length - 1];
  const channels = rowShape.length > 2 && last <= CHANNELS_MAX ? last : 1;
  const spatial = channels > 1 ? rowShape.slice(0, -1) : rowShape;
  const [height, width] = spatial.slice(-2);
  return { height, width, channels, count: spatial.slice(0, -2).reduce((product, size) => product * size, 1) };
}

/** Each plane shows one image, repeated to both sides and cut; a pixel's channels all get its value. */
function tiled(name: string, plane: Plane, imageOf: (index: number) => Image): Fill {
  const { height, width, channels, count } = plane;
  return {
    name,
    rows(firstRow, rows, out) {
      let to = 0;
      for (let index = firstRow * count; index < (firstRow + rows) * count; index++) {
        const image = imageOf(index);
        for (let y = 0; y < height; y++) {
          const line = (y % image.height) * image.width;
          for (let x = 0; x < width; x++) {
            const value = image.pixels[line + (x % image.width)];
            for (let c = 0; c < channels; c++) out[to++] = value;
          }
        }
      }
    },
  };
}

/** The image, mirrored left to right, top to bottom, and both: the same statistics, other bytes. */
function mirrorings(image: Image): Image[] {
  const { height, width, pixels } = image;
  const mirror = (flipY: boolean, flipX: boolean): Image => {
    const out = new Uint16Array(pixels.length);
    for (let y = 0; y < height; y++) {
      const from = (flipY ? height - 1 - y : y) * width;
      for (let x = 0; x < width; x++) out[y * width + x] = pixels[from + (flipX ? width - 1 - x : x)];
    }
    return { height, width, pixels: out };
  };
  return [image, mirror(false, true), mirror(true, false), mirror(true, true)];
}

async function readImages(files: readonly string[], plane: Plane): Promise<Image[]> {
  const images: Image[] = [];
  for (const input of files) {
    const bytes = await readInput(input);
    if (contentOf(bytes)?.kind === "tiff") images.push(...(await readTiff(bytes, input)));
    else images.push(...readRaw(bytes, input, plane));
  }
  return images;
}

async function readInput(input: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(input));
  } catch (cause) {
    throw new MillraceError("INVALID_OPTION", `--images ${input} cannot be read.`, {
      context: { option: "images", input, reason: (cause as NodeJS.ErrnoException).code ?? "unknown" },
      cause,
    });
  }
}

async function readTiff(bytes: Uint8Array, input: string): Promise<Image[]> {
  const images: Image[] = [];
  for await (const { layout, data } of (await TiffFile.open(memorySource(input, bytes))).images()) {
    const { dtype, samples, height, width, page } = layout;
    if (dtype !== "uint16" || samples !== 1) {
      throw new MillraceError(
        "INVALID_DATA",
        `--images ${input}, page ${page}: it is ${dtype} with ${samples} samples a pixel; uint16 with one is needed.`,
        { context: { option: "images", input, page, got: dtype, samples } },
      );
    }
    images.push({ height, width, pixels: new Uint16Array(data.slice().buffer) });
  }
  return images;
}

/** Raw uint16 of the plane's own shape, one or more of them. */
function readRaw(bytes: Uint8Array, input: string, { height, width }: Plane): Image[] {
  const elements = height * width;
  if (bytes.byteLength === 0 || bytes.byteLength % (2 * elements) !== 0) {
    throw new MillraceError(
      "INVALID_DATA",
      `--images ${input}: ${bytes.byteLength} bytes are not whole planes of ${height} × ${width} uint16.`,
      { context: { option: "images", input, bytes: bytes.byteLength, planeBytes: 2 * elements } },
    );
  }
  const all = new Uint16Array(bytes.slice().buffer);
  return Array.from({ length: all.length / elements }, (_, i) => ({
    height,
    width,
    pixels: all.subarray(i * elements, (i + 1) * elements),
  }));
}
