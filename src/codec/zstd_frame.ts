/**
 * Reads the outer structure of Zstandard frames (RFC 8878 §3.1) without decompressing: where each frame ends and what
 * it says about its content. Decoders disagree on what may surround a frame: node:zlib on Node 22 accepts a frame cut
 * short and ignores whatever follows the first one (measured on 22.23), so the structure is checked here, before any of
 * them sees it.
 */

interface ZstdFrame {
  /** Byte range of the frame in what was parsed. */
  readonly start: number;
  readonly end: number;
  /** Frame_Content_Size; undefined where the header leaves it out. */
  readonly contentBytes: number | undefined;
  /** What its blocks can hold at most: what is worth allocating where the header says nothing. */
  readonly contentBytesMax: number;
  /** Content_Checksum_Flag: the frame ends with 4 bytes of XXH64. */
  readonly checksum: boolean;
  readonly blockCount: number;
}

type ZstdFrames = { readonly frames: readonly ZstdFrame[] } | { readonly error: string };

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** Block_Maximum_Size is the smaller of the window and this. */
const BLOCK_BYTES_MAX = 128 * 1024;

/**
 * Splits `src` into frames. Skippable frames are stepped over. Never throws and never reads outside `src`; every step
 * consumes at least three bytes, so it ends.
 * @param framesMax more frames than this are an error
 */
export function parseZstdFrames(src: Uint8Array, framesMax = 1024): ZstdFrames {
  const frames: ZstdFrame[] = [];
  let at = 0;
  while (at < src.length) {
    if (src.length - at < 4) return { error: `${src.length - at} stray bytes behind the last frame` };
    const magic = u32(src, at);
    if ((magic & 0xfffffff0) === SKIPPABLE_MAGIC) {
      if (src.length - at < 8) return { error: "a skippable frame is cut short" };
      const bytes = u32(src, at + 4);
      if (bytes > src.length - at - 8) return { error: "a skippable frame is cut short" };
      at += 8 + bytes;
      continue;
    }
    if (magic !== MAGIC) {
      return { error: frames.length === 0 ? "no zstd frame magic number" : "bytes behind the frame are no frame" };
    }
    if (frames.length === framesMax) return { error: `more than ${framesMax} frames` };
    const frame = parseFrame(src, at);
    if (typeof frame === "string") return { error: frame };
    frames.push(frame);
    at = frame.end;
  }
  return frames.length === 0 ? { error: "no zstd frame" } : { frames };
}

function parseFrame(src: Uint8Array, start: number): ZstdFrame | string {
  let at = start + 4;
  if (at >= src.length) return "the frame header is cut short";
  const descriptor = src[at++];
  if ((descriptor & 0x08) !== 0) return "the reserved bit of the frame header is set";
  const singleSegment = (descriptor & 0x20) !== 0;
  const checksum = (descriptor & 0x04) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3];
  const contentSizeFlag = descriptor >> 6;
  const contentSizeBytes = contentSizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << contentSizeFlag;
  if (at + (singleSegment ? 0 : 1) + dictionaryIdBytes + contentSizeBytes > src.length)
    return "the frame header is cut short";
  if (!singleSegment) at++;
  for (let i = 0; i < dictionaryIdBytes; i++) {
    if (src[at + i] !== 0) return "the frame needs a dictionary";
  }
  at += dictionaryIdBytes;
  let contentBytes: number | undefined;
  if (contentSizeBytes > 0) {
    contentBytes = 0;
    for (let i = contentSizeBytes - 1; i >= 0; i--) contentBytes = contentBytes * 256 + src[at + i];
    if (contentSizeBytes === 2) contentBytes += 256;
    if (!Number.isSafeInteger(contentBytes)) return "the content size exceeds 2^53 − 1";
    at += contentSizeBytes;
  }
  let contentBytesMax = 0;
  for (let blockCount = 1; ; blockCount++) {
    if (at + 3 > src.length) return "the frame is cut short before its last block";
    const header = src[at] | (src[at + 1] << 8) | (src[at + 2] << 16);
    at += 3;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) return "a block has the reserved type";
    if (type === 2 && size > BLOCK_BYTES_MAX) return `a block of ${size} bytes exceeds 128 KiB`;
    contentBytesMax += type === 2 ? BLOCK_BYTES_MAX : size;
    at += type === 1 ? 1 : size;
    if (at > src.length) return "a block is cut short";
    if ((header & 1) !== 0) {
      if (checksum) at += 4;
      if (at > src.length) return "the content checksum is cut short";
      return { start, end: at, contentBytes, contentBytesMax, checksum, blockCount };
    }
  }
}

function u32(src: Uint8Array, at: number): number {
  return (src[at] | (src[at + 1] << 8) | (src[at + 2] << 16) | (src[at + 3] << 24)) >>> 0;
}
