import { decode, type TiffIfd } from "tiff";
import { MillraceError } from "../base/errors.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";

export interface TiffExpectation {
  /** File name, for messages. */
  readonly input: string;
  readonly dtype: DType;
  readonly dimensions: readonly DimensionOptions[];
}

/**
 * Decodes a TIFF file page by page, each page one frame, as little-endian elements in C order: [height, width], or
 * [height, width, samples] when a pixel has several. Every page must have the array's dtype and the sizes of its last dimensions.
 * `file` must be the caller's own: its header is rewritten while it is read.
 * @throws MillraceError INVALID_DATA naming the file and the page, what the array needs and what the page is
 */
export function* tiffFrames(file: Uint8Array, expected: TiffExpectation): Generator<Uint8Array, void> {
  const offsets = pageOffsets(file, expected.input);
  const header = new DataView(file.buffer, file.byteOffset, 8);
  const littleEndian = header.getUint8(0) === 0x49;
  for (const [page, offset] of offsets.entries()) {
    // The decoder always walks the chain of pages from the first one. Pointing the header at the page we want keeps a stack of
    // n pages at n steps instead of n².
    header.setUint32(4, offset, littleEndian);
    const described = decodePage(file, true, page, expected.input);
    checkPage(described, page, offsets.length, expected);
    const { data } = decodePage(file, false, page, expected.input);
    yield new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }
}

/** Byte offset of every page's directory (TIFF 6.0 §2). Refuses BigTIFF, chains that leave the file and chains that loop. */
function pageOffsets(file: Uint8Array, input: string): number[] {
  const bad = (message: string) => new MillraceError("INVALID_DATA", `${input}: ${message}`, { context: { input } });
  if (file.byteLength < 8) throw bad(`not a TIFF file: ${file.byteLength} bytes long.`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const order = view.getUint16(0, false);
  if (order !== 0x4949 && order !== 0x4d4d) throw bad("not a TIFF file: it starts with neither II nor MM.");
  const littleEndian = order === 0x4949;
  const magic = view.getUint16(2, littleEndian);
  if (magic === 43) throw bad("BigTIFF is not supported. Convert it to TIFF or to raw frames.");
  if (magic !== 42) throw bad(`not a TIFF file: its magic number is ${magic}, expected 42.`);
  const offsets: number[] = [];
  const seen = new Set<number>();
  for (let offset = view.getUint32(4, littleEndian); offset !== 0; ) {
    if (seen.has(offset)) throw bad(`damaged: the list of pages runs in a circle after page ${offsets.length}.`);
    const next = offset + 2 + (offset + 2 <= file.byteLength ? view.getUint16(offset, littleEndian) * 12 : 0);
    if (next + 4 > file.byteLength) throw bad(`cut off: page ${offsets.length} lies past the end of the file.`);
    seen.add(offset);
    offsets.push(offset);
    offset = view.getUint32(next, littleEndian);
  }
  if (offsets.length === 0) throw bad("it holds no page.");
  return offsets;
}

function decodePage(file: Uint8Array, ignoreImageData: boolean, page: number, input: string): TiffIfd {
  try {
    return decode(file, { ignoreImageData, pages: [0] })[0];
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("INVALID_DATA", `${input}, page ${page}: cannot be decoded: ${reason}.`, {
      context: { input, page },
      cause,
    });
  }
}

function checkPage(ifd: TiffIfd, page: number, pageCount: number, expected: TiffExpectation): void {
  const { input, dtype, dimensions } = expected;
  const fail = (message: string, context: Record<string, string | number> = {}) =>
    new MillraceError("INVALID_DATA", `${input}, page ${page}: ${message}`, { context: { input, page, ...context } });

  const pageDType = dtypeOf(ifd);
  if (pageDType !== dtype) {
    throw fail(`its samples are ${pageDType}; --dtype says ${dtype}.`, { expected: dtype, got: pageDType });
  }
  const samples = ifd.samplesPerPixel;
  const shape = samples === 1 ? [ifd.height, ifd.width] : [ifd.height, ifd.width, samples];
  const sizes = dimensions.slice(-shape.length).map((d) => d.size);
  if (dimensions.length < shape.length || sizes.some((size, i) => size !== null && size !== shape[i])) {
    const names = dimensions.slice(-shape.length).map((d) => d.name);
    throw fail(
      `it is ${shape.join(" × ")}${samples === 1 ? "" : " (height × width × samples)"}; ` +
        `--dims says ${sizes.map((s) => s ?? "any").join(" × ")} for ${names.join(", ")}.`,
      { expected: sizes.map((s) => s ?? "any").join("x"), got: shape.join("x") },
    );
  }
  // What the decoder would turn into other values or another order than the file's own, without a word.
  if (samples > 1 && ifd.planarConfiguration === 2) throw fail("its samples are stored plane by plane; not supported.");
  if (samples > 1 && ifd.tiled) throw fail("it is tiled with several samples a pixel; not supported.");
  if (ifd.associatedAlpha) throw fail("its colours are multiplied by alpha; not supported.");
  if (ifd.type === 0) throw fail("it is stored as WhiteIsZero; not supported.");
  const images = /^ImageJ=[\s\S]*?^images=(\d+)/m.exec(ifd.imageDescription ?? "");
  if (images !== null && Number(images[1]) > pageCount) {
    throw fail(
      `ImageJ wrote ${images[1]} images behind ${pageCount} page${pageCount === 1 ? "" : "s"}; such files are not supported. ` +
        "Save the stack as OME-TIFF, as an image sequence or as raw data.",
      { images: Number(images[1]), pages: pageCount },
    );
  }
}

/** The page's element type in our words; SampleFormat 1 = unsigned (the default), 2 = signed, 3 = IEEE float (TIFF 6.0 §19). */
function dtypeOf(ifd: TiffIfd): string {
  const kind = { 1: "uint", 2: "int", 3: "float" }[ifd.sampleFormat] ?? `format ${ifd.sampleFormat} of `;
  return `${kind}${ifd.bitsPerSample ?? 1}`;
}
