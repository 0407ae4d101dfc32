import { ceilDiv } from "../base/integers.js";
import { type DType, isDType, itemBytes } from "../geometry/dtype.js";
import { type ByteSource, refused } from "./byte_source.js";
import type { Directory } from "./directory.js";
import {
  COMPRESSIONS,
  type Compression,
  OTHER_COMPRESSIONS,
  OTHER_PHOTOMETRICS,
  PLAIN_PHOTOMETRICS,
  TAG,
} from "./tags.js";

/** How a page's pixels are stored. */
export interface PageLayout {
  readonly page: number;
  readonly width: number;
  readonly height: number;
  /** Samples of a pixel. */
  readonly samples: number;
  /** True where each sample has a plane of its own (PlanarConfiguration 2). */
  readonly apart: boolean;
  /** Bits of a stored sample; those that are not 8, 16, 32 or 64 are packed. */
  readonly bits: number;
  /** Of the samples as they are delivered: 1 to 7 bits become uint8, 9 to 15 become uint16. */
  readonly dtype: DType;
  readonly itemBytes: number;
  readonly littleEndian: boolean;
  readonly compression: Compression;
  readonly predictor: 1 | 2 | 3;
  readonly segments: Segments;
}

/**
 * Strips or tiles, in the order of the file's tables: left to right, then down, then (stored apart) the next sample.
 */
interface Segments {
  readonly word: "strip" | "tile";
  readonly width: number;
  readonly height: number;
  readonly across: number;
  readonly down: number;
  /** True for tiles, which are stored whole; strips end with the page. */
  readonly padded: boolean;
  readonly offsets: readonly number[];
  readonly counts: readonly number[];
}

/** Bytes of a page as it is delivered. */
export function pageBytes(layout: Pick<PageLayout, "width" | "height" | "samples" | "itemBytes">): number {
  return layout.width * layout.height * layout.samples * layout.itemBytes;
}

/** Bytes of a row of a segment as it is stored, decompressed. */
export function storedRowBytes(layout: PageLayout): number {
  const { segments, samples, apart, bits } = layout;
  return ceilDiv(segments.width * (apart ? 1 : samples) * bits, 8);
}

/** More is no plane of any camera; a damaged size must not ask for memory. */
const PAGE_BYTES_MAX = 2 ** 36;

const CONVERT = "Convert it, for example with tifffile or bioformats2raw, or pass raw frames.";

/** Which pages are images of the main series: reduced copies are not (NewSubfileType bit 0, SubfileType 2). */
export async function isReduced(directory: Directory): Promise<boolean> {
  const type = await directory.number(TAG.newSubfileType, 0);
  return (type & 1) !== 0 || (await directory.number(TAG.subfileType, 1)) === 2;
}

/**
 * Reads what a page says of itself.
 * @throws MillraceError INVALID_DATA for a page that is damaged, or that holds anything that is not read: every tag
 *   that changes what the
 *   samples mean is honoured or refused, never skipped
 */
export async function readPageLayout(source: ByteSource, directory: Directory): Promise<PageLayout> {
  const { page } = directory;
  const fail = (message: string, context: Record<string, string | number> = {}, hint?: string) =>
    refused(source, page, message, context, hint);
  const width = await directory.number(TAG.imageWidth, 0);
  const height = await directory.number(TAG.imageLength, 0);
  const samples = await directory.number(TAG.samplesPerPixel, 1);
  if (width < 1 || height < 1 || samples < 1) {
    throw fail(`damaged: it is ${height} × ${width} with ${samples} samples a pixel.`);
  }
  await refuseOtherMeanings(directory, fail);
  const { bits, dtype } = await readSampleType(directory, samples, fail);
  const code = await directory.number(TAG.compression, 1);
  const compression = COMPRESSIONS.get(code);
  if (compression === undefined) {
    const name = OTHER_COMPRESSIONS[code] ?? "unknown";
    throw fail(`its compression ${code} (${name}) is not read.`, { compression: code }, CONVERT);
  }
  const predictor = await directory.number(TAG.predictor, 1);
  if (predictor !== 1 && predictor !== 2 && predictor !== 3) {
    throw fail(`its predictor ${predictor} is not read.`, { predictor }, CONVERT);
  }
  // PackBits and no compression have no predictor: readers, libtiff among them, leave the tag aside.
  const used = compression === "none" || compression === "packbits" ? 1 : predictor;
  if ((used === 2 && bits % 8 !== 0) || (used === 3 && !dtype.startsWith("float"))) {
    throw fail(`damaged: predictor ${used} does not go with samples of ${bits} bits (${dtype}).`);
  }
  const planar = await directory.number(TAG.planarConfiguration, 1);
  if (planar !== 1 && planar !== 2) throw fail(`damaged: its PlanarConfiguration is ${planar}.`);
  const apart = planar === 2 && samples > 1;
  const size = { width, height, samples, itemBytes: itemBytes(dtype) };
  if (pageBytes(size) > PAGE_BYTES_MAX) {
    throw fail(
      `damaged: it says it is ${height} × ${width} with ${samples} samples a pixel, ${pageBytes(size)} bytes.`,
    );
  }
  const stored = { ...size, apart, bits, compression };
  return {
    ...stored,
    page,
    dtype,
    littleEndian: directory.littleEndian,
    predictor: used,
    segments: await readSegments(source, directory, stored, fail),
  };
}

type Fail = (message: string, context?: Record<string, string | number>, hint?: string) => Error;

async function refuseOtherMeanings(directory: Directory, fail: Fail): Promise<void> {
  const photometric = await directory.number(TAG.photometric, 1);
  if (!PLAIN_PHOTOMETRICS.has(photometric)) {
    const name = OTHER_PHOTOMETRICS[photometric] ?? `photometric interpretation ${photometric}`;
    throw fail(`it is stored as ${name}; not supported.`, { photometric }, CONVERT);
  }
  const orientation = await directory.number(TAG.orientation, 1);
  if (orientation !== 1) {
    throw fail(
      `its Orientation is ${orientation}: the image is turned or mirrored; not supported.`,
      { orientation },
      CONVERT,
    );
  }
  if ((await directory.number(TAG.fillOrder, 1)) !== 1) {
    throw fail("its bytes are stored with the lowest bit first (FillOrder 2); not supported.", {}, CONVERT);
  }
  const extra = await directory.numbers(TAG.extraSamples, 256);
  if (extra.includes(1)) throw fail("its colours are multiplied by alpha; not supported.", {}, CONVERT);
  for (const tag of [TAG.imageDepth, TAG.tileDepth]) {
    const depth = await directory.number(tag, 1);
    if (depth > 1) {
      throw fail(`it holds ${depth} planes (ImageDepth, SGI's volumes); not supported.`, { depth }, CONVERT);
    }
  }
  if (((await directory.number(TAG.newSubfileType, 0)) & 4) !== 0) {
    throw fail("it is a transparency mask of another page; not supported.", {}, CONVERT);
  }
}

async function readSampleType(
  directory: Directory,
  samples: number,
  fail: Fail,
): Promise<{ bits: number; dtype: DType }> {
  const allBits = await directory.numbers(TAG.bitsPerSample, Math.min(samples, 65535));
  const bits = allBits[0] ?? 1;
  if (allBits.some((other) => other !== bits))
    throw fail(`its samples differ in bits: ${allBits.join(", ")}; not supported.`);
  const formats = await directory.numbers(TAG.sampleFormat, Math.min(samples, 65535));
  const format = formats[0] ?? 1;
  if (formats.some((other) => other !== format)) {
    throw fail(`its samples differ in SampleFormat: ${formats.join(", ")}; not supported.`);
  }
  const kind = { 1: "uint", 2: "int", 3: "float" }[format];
  if (kind === undefined) throw fail(`its samples are of SampleFormat ${format}; not supported.`, { format }, CONVERT);
  const packed = kind === "uint" && bits >= 1 && bits < 16 && bits !== 8;
  const dtype = packed ? (bits < 8 ? "uint8" : "uint16") : `${kind}${bits}`;
  if (!isDType(dtype))
    throw fail(`its samples are ${dtype}, which no Zarr array of Millrace holds.`, { got: dtype }, CONVERT);
  return { bits, dtype };
}

type Stored = Pick<PageLayout, "width" | "height" | "samples" | "apart" | "bits" | "compression" | "itemBytes">;

async function readSegments(source: ByteSource, directory: Directory, stored: Stored, fail: Fail): Promise<Segments> {
  const { width, height } = stored;
  const tiled = directory.has(TAG.tileWidth) || directory.has(TAG.tileOffsets);
  const word = tiled ? "tile" : "strip";
  const segmentWidth = tiled ? await directory.number(TAG.tileWidth, 0) : width;
  const segmentHeight = tiled
    ? await directory.number(TAG.tileLength, 0)
    : Math.min(await directory.number(TAG.rowsPerStrip, height), height);
  if (segmentWidth < 1 || segmentHeight < 1)
    throw fail(`damaged: its ${word}s are ${segmentHeight} × ${segmentWidth}.`);
  const across = ceilDiv(width, segmentWidth);
  const down = ceilDiv(height, segmentHeight);
  const planes = stored.apart ? stored.samples : 1;
  const count = across * down * planes;
  const table = async (tag: number) => {
    if (directory.count(tag) < count) {
      throw fail(`damaged: it needs ${count} ${word}s, and its tables hold ${directory.count(tag)}.`, { count });
    }
    return await directory.numbers(tag, count);
  };
  const offsets = await table(tiled ? TAG.tileOffsets : TAG.stripOffsets);
  const segment = { word, width: segmentWidth, height: segmentHeight, across, down, padded: tiled, offsets } as const;
  const wholeBytes = ceilDiv(segmentWidth * (stored.apart ? 1 : stored.samples) * stored.bits, 8) * segmentHeight;
  if (wholeBytes > PAGE_BYTES_MAX)
    throw fail(`damaged: a ${word} of it would take ${wholeBytes} bytes.`, { wholeBytes });
  const countsTag = tiled ? TAG.tileByteCounts : TAG.stripByteCounts;
  let counts: number[];
  if (directory.has(countsTag)) counts = await table(countsTag);
  else if (stored.compression === "none" && count === 1) counts = [wholeBytes];
  else throw fail(`damaged: it does not say how long its ${word}s are.`);
  for (let i = 0; i < count; i++) {
    if (counts[i] === 0 || offsets[i] === 0)
      throw fail(`its ${word} ${i} is left out of the file; not supported.`, { [word]: i });
    if (offsets[i] + counts[i] > source.bytes) {
      throw fail(`cut off: its ${word} ${i} ends at byte ${offsets[i] + counts[i]}, the file at ${source.bytes}.`, {
        [word]: i,
      });
    }
  }
  return { ...segment, counts };
}
