import { inflateSync } from "node:zlib";
import { findZstdDecoder, type ZstdLibrary } from "../codec/libzstd.js";
import { parseZstdFrames } from "../codec/zstd_frame.js";
import { type ByteSource, refused } from "./byte_source.js";
import { decodeLzw } from "./lzw.js";
import { decodePackBits } from "./packbits.js";
import { type PageLayout, pageBytes, storedRowBytes } from "./page_layout.js";
import { expandBits, swapSamples, undoDifferences, undoFloatingPoint } from "./samples.js";

/** More than a segment holds that a decompressor may give, before it counts as damage. */
const SLACK_BYTES = 65536;

/**
 * Reads pages of one file. Keeps one page and one segment (strip or tile) in memory, however long the file is.
 */
export class PageReader {
  readonly #source: ByteSource;
  #page = new Uint8Array(0);
  #compressed = new Uint8Array(0);
  #segment = new Uint8Array(0);
  #zstd: ZstdLibrary | undefined;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /**
   * The page's samples, little-endian, as [height, width, samples], or as [samples, height, width] where they are
   * stored apart. Valid until
   * the next call.
   * @param behind planes that lie behind the page in one piece without pages of their own (see {@link planesBehind}): 0
   *   is the page itself
   * @throws MillraceError INVALID_DATA for segments that cannot be decoded or hold too little
   */
  async read(layout: PageLayout, behind = 0): Promise<Uint8Array> {
    const bytes = pageBytes(layout);
    if (this.#page.byteLength !== bytes) this.#page = this.#allocate(layout, bytes);
    if (isOnePiece(layout)) {
      const at = layout.segments.offsets[0] + behind * bytes;
      // Where the page was checked only its own bytes were.
      if (at + bytes > this.#source.bytes) {
        throw refused(this.#source, layout.page, `cut off: plane ${behind} of it lies past the end of the file.`, {
          behind,
        });
      }
      await this.#source.read(at, this.#page);
      if (!layout.littleEndian) swapSamples(this.#page, layout.itemBytes);
      return this.#page;
    }
    const { segments } = layout;
    for (let index = 0; index < segments.offsets.length; index++) await this.#readSegment(layout, index);
    return this.#page;
  }

  #allocate(layout: PageLayout, bytes: number): Uint8Array<ArrayBuffer> {
    try {
      return new Uint8Array(bytes);
    } catch {
      // A RangeError: more than the engine can hold in one piece, or than the machine has.
      throw refused(this.#source, layout.page, `it takes ${bytes} bytes in memory, which cannot be had.`, { bytes });
    }
  }

  async #readSegment(layout: PageLayout, index: number): Promise<void> {
    const { segments, samples, apart, itemBytes, width, height, bits } = layout;
    const perPlane = segments.across * segments.down;
    const plane = Math.floor(index / perPlane);
    const row = Math.floor((index % perPlane) / segments.across) * segments.height;
    const column = (index % segments.across) * segments.width;
    const rows = segments.padded ? segments.height : Math.min(segments.height, height - row);
    const rowSamples = segments.width * (apart ? 1 : samples);
    const rowBytes = storedRowBytes(layout);
    let decoded = await this.#decompress(layout, index, rows * rowBytes);
    const stride = apart ? 1 : samples;
    if (bits % 8 !== 0) {
      const expanded = this.#allocate(layout, rows * rowSamples * itemBytes);
      expandBits(decoded, expanded, bits, rows, rowSamples);
      decoded = expanded;
    } else if (layout.predictor === 3) {
      undoFloatingPoint(decoded, itemBytes, rowSamples, stride);
    } else {
      if (!layout.littleEndian && itemBytes > 1) swapSamples(decoded, itemBytes);
      if (layout.predictor === 2) undoDifferences(decoded, itemBytes, rowSamples, stride);
    }
    const kept = Math.min(segments.width, width - column) * stride * itemBytes;
    const pageRowBytes = width * stride * itemBytes;
    const to = plane * height * pageRowBytes + column * stride * itemBytes;
    for (let r = 0; r < Math.min(rows, height - row); r++) {
      const from = r * rowSamples * itemBytes;
      this.#page.set(decoded.subarray(from, from + kept), to + (row + r) * pageRowBytes);
    }
  }

  /**
   * The segment's first `expected` bytes, decompressed, in memory that begins at an aligned place and may be written
   * to.
   */
  async #decompress(layout: PageLayout, index: number, expected: number): Promise<Uint8Array> {
    const { segments, compression, page } = layout;
    const stored = segments.counts[index];
    const fail = (reason: string) =>
      refused(this.#source, page, `cannot be decoded: ${segments.word} ${index} (${compression}): ${reason}.`, {
        [segments.word]: index,
        compression,
      });
    if (this.#segment.byteLength < expected) this.#segment = this.#allocate(layout, expected);
    const out = this.#segment.subarray(0, expected);
    if (compression === "none") {
      if (stored < expected) throw fail(`it holds ${stored} bytes, ${expected} are needed`);
      await this.#source.read(segments.offsets[index], out);
      return out;
    }
    if (this.#compressed.byteLength < stored) this.#compressed = new Uint8Array(stored);
    const src = this.#compressed.subarray(0, stored);
    await this.#source.read(segments.offsets[index], src);
    let count: number;
    try {
      count = await this.#decode(layout, src, out);
    } catch (error) {
      throw fail(error instanceof Error ? error.message : String(error));
    }
    if (count < expected) throw fail(`it holds ${count} bytes, ${expected} are needed`);
    return out;
  }

  async #decode(layout: PageLayout, src: Uint8Array, out: Uint8Array): Promise<number> {
    // Some writers fill the last strip up to its full height: more than is needed is no damage, but it has a bound.
    const most = layout.segments.height * storedRowBytes(layout) + SLACK_BYTES;
    switch (layout.compression) {
      case "lzw":
        // The older form, least significant bit first, begins with a clear code that reads 00 01.
        if (src[0] === 0 && (src[1] & 1) === 1)
          throw new Error("it is of the old form with the lowest bit first, not read");
        return decodeLzw(src, out);
      case "packbits":
        return decodePackBits(src, out);
      case "deflate": {
        const content = inflateSync(src, { maxOutputLength: most });
        out.set(content.subarray(0, out.length));
        return content.length;
      }
      case "zstd":
        return await this.#decodeZstd(src, out, most);
      default:
        throw new Error("not compressed");
    }
  }

  async #decodeZstd(src: Uint8Array, out: Uint8Array, most: number): Promise<number> {
    this.#zstd ??= await findZstdDecoder();
    const parsed = parseZstdFrames(src);
    if ("error" in parsed) throw new Error(parsed.error);
    let to = 0;
    for (const { start, end, contentBytes } of parsed.frames) {
      // The libraries refuse a frame that is longer than the room for it: the last strip may be filled up to its full
      // height.
      const room = contentBytes === undefined ? out.length - to : contentBytes;
      if (room > most) throw new Error(`a frame says it holds ${room} bytes`);
      if (room <= out.length - to) to += await this.#zstd.decompress(src.subarray(start, end), out.subarray(to));
      else {
        const whole = new Uint8Array(room);
        const count = await this.#zstd.decompress(src.subarray(start, end), whole);
        out.set(whole.subarray(0, Math.min(count, out.length - to)), to);
        to += count;
        break;
      }
    }
    return to;
  }
}

/** Whether the page is stored as it is delivered, in one piece: then it is read in one. */
export function isOnePiece(layout: PageLayout): boolean {
  const { compression, bits, segments, width, height } = layout;
  if (compression !== "none" || bits % 8 !== 0 || segments.width !== width) return false;
  // Tiles of the page's width may be padded at its end.
  if (segments.padded && height % segments.height !== 0) return false;
  const rowBytes = storedRowBytes(layout);
  const { offsets, counts, down } = segments;
  for (let i = 0; i < offsets.length; i++) {
    const rows = Math.min(segments.height, height - (i % down) * segments.height);
    if (counts[i] < rows * rowBytes) return false;
    if (i + 1 < offsets.length && offsets[i] + rows * rowBytes !== offsets[i + 1]) return false;
  }
  return true;
}
