import { inflateSync } from "node:zlib";
import { assert } from "../base/assert.js";
import { ceilDiv } from "../base/integers.js";
import type { ZstdLibrary } from "./libzstd.js";
import { decodeLz4Block } from "./lz4_block.js";
import { bitUnshuffle, unshuffle } from "./shuffle.js";
import { parseZstdFrames } from "./zstd_frame.js";

/**
 * Decodes a Blosc 1 container (c-blosc README_CHUNK_FORMAT.rst and blosc.c).
 *
 * Not by numcodecs.js: its `decompress` ignores libblosc's error code, so a damaged payload comes back as whatever lay
 * in that memory, at the right length (measured with 0.3.2: 259 of 259 damaged containers were accepted). A verifier
 * cannot stand on that.
 */

const HEADER_BYTES = 16;
const FLAG_SHUFFLE = 0x01;
const FLAG_STORED = 0x02;
const FLAG_BITSHUFFLE = 0x04;
const FLAG_DO_NOT_SPLIT = 0x10;
/** A block is cut into its byte planes only for element sizes up to this, and planes of at least so many bytes. */
const SPLITS_MAX = 16;
const SPLIT_BYTES_MIN = 128;

const FORMATS = ["blosclz", "lz4", "snappy", "zlib", "zstd"] as const;
type Format = (typeof FORMATS)[number];

/** Thrown for a container that is damaged, or valid but of a kind not read here. */
export class BloscError extends Error {
  constructor(
    message: string,
    readonly unsupported = false,
  ) {
    super(message);
  }
}

interface Header {
  readonly flags: number;
  readonly typesize: number;
  readonly nbytes: number;
  readonly blocksize: number;
  readonly cbytes: number;
  readonly format: Format;
}

/**
 * @param maxBytes a container that says it holds more is refused before anything is allocated
 * @throws BloscError, or what `zstd` throws
 */
export async function decodeBlosc(src: Uint8Array, maxBytes: number, zstd: ZstdLibrary): Promise<Uint8Array> {
  const header = readHeader(src, maxBytes);
  const { nbytes, blocksize, typesize, flags, format } = header;
  const container = src.subarray(0, header.cbytes);
  if ((flags & FLAG_STORED) !== 0) {
    if (container.length !== HEADER_BYTES + nbytes) throw new BloscError("a stored container has the wrong length");
    return container.slice(HEADER_BYTES);
  }
  const result = new Uint8Array(nbytes);
  if (nbytes === 0) return result;
  const blockCount = ceilDiv(nbytes, blocksize);
  const bodyStart = HEADER_BYTES + 4 * blockCount;
  if (bodyStart > container.length) throw new BloscError("the block table is cut short");
  const view = new DataView(container.buffer, container.byteOffset, container.length);
  const filter =
    (flags & FLAG_SHUFFLE) !== 0 && typesize > 1
      ? unshuffle
      : (flags & FLAG_BITSHUFFLE) !== 0 && blocksize >= typesize
        ? bitUnshuffle
        : undefined;
  const scratch = filter === undefined ? undefined : new Uint8Array(blocksize);
  for (let block = 0; block < blockCount; block++) {
    const target = result.subarray(block * blocksize, Math.min(nbytes, (block + 1) * blocksize));
    const payload = scratch?.subarray(0, target.length) ?? target;
    const start = view.getUint32(HEADER_BYTES + 4 * block, true);
    if (start < bodyStart || start > container.length)
      throw new BloscError(`block ${block} starts outside the container`);
    await decodeBlock(container.subarray(start), payload, splitsOf(header, target.length), format, zstd, block);
    filter?.(payload, target, typesize);
  }
  return result;
}

function readHeader(src: Uint8Array, maxBytes: number): Header {
  if (src.length < HEADER_BYTES) throw new BloscError("the header is cut short");
  const view = new DataView(src.buffer, src.byteOffset, src.length);
  const [version, , flags, typesize] = src;
  const nbytes = view.getUint32(4, true);
  const blocksize = view.getUint32(8, true);
  const cbytes = view.getUint32(12, true);
  if (version !== 2) throw new BloscError(`format version ${version}, expected 2`, version > 2 && version < 8);
  if (typesize === 0) throw new BloscError("the element size is 0");
  if (cbytes !== src.length) throw new BloscError(`the header says ${cbytes} bytes, there are ${src.length}`);
  if (nbytes > maxBytes)
    throw new BloscError(`the header says ${nbytes} bytes of content, expected at most ${maxBytes}`);
  if (nbytes > 0 && (blocksize === 0 || blocksize > nbytes)) throw new BloscError(`the block size is ${blocksize}`);
  const format = FORMATS[flags >> 5];
  if (format === undefined) throw new BloscError(`unknown compressor number ${flags >> 5}`);
  if ((format === "blosclz" || format === "snappy") && (flags & FLAG_STORED) === 0) {
    throw new BloscError(`the compressor ${format} is not read here`, true);
  }
  return { flags, typesize, nbytes, blocksize, cbytes, format };
}

function splitsOf(header: Header, blockBytes: number): number {
  const whole = blockBytes === header.blocksize;
  const splits =
    (header.flags & FLAG_DO_NOT_SPLIT) === 0 &&
    header.typesize <= SPLITS_MAX &&
    header.blocksize / header.typesize >= SPLIT_BYTES_MIN &&
    whole;
  if (!splits) return 1;
  if (blockBytes % header.typesize !== 0) throw new BloscError("the block size is no multiple of the element size");
  return header.typesize;
}

async function decodeBlock(
  src: Uint8Array,
  dst: Uint8Array,
  splits: number,
  format: Format,
  zstd: ZstdLibrary,
  block: number,
): Promise<void> {
  const splitBytes = dst.length / splits;
  assert(Number.isInteger(splitBytes), "a block is cut evenly");
  let at = 0;
  for (let split = 0; split < splits; split++) {
    if (at + 4 > src.length) throw new BloscError(`block ${block} is cut short`);
    const bytes = (src[at] | (src[at + 1] << 8) | (src[at + 2] << 16) | (src[at + 3] << 24)) >>> 0;
    at += 4;
    if (bytes === 0 || bytes > src.length - at) throw new BloscError(`block ${block} is cut short`);
    // Blosc stores what does not shrink. Without this, many blocks could share one long payload, and each would be gone
    // through anew.
    if (bytes > splitBytes) throw new BloscError(`block ${block} takes ${bytes} bytes, decoded it has ${splitBytes}`);
    const from = src.subarray(at, at + bytes);
    const to = dst.subarray(split * splitBytes, (split + 1) * splitBytes);
    at += bytes;
    // A payload of exactly the content's size is the content itself.
    if (bytes === splitBytes) {
      to.set(from);
      continue;
    }
    const error = await decodePayload(from, to, format, zstd);
    if (error !== undefined) throw new BloscError(`block ${block}, ${format}: ${error}`);
  }
}

async function decodePayload(
  from: Uint8Array,
  to: Uint8Array,
  format: Format,
  zstd: ZstdLibrary,
): Promise<string | undefined> {
  let bytes: number;
  switch (format) {
    case "lz4":
      return decodeLz4Block(from, to);
    case "zlib":
      try {
        const content = inflateSync(from, { maxOutputLength: to.length });
        to.set(content);
        bytes = content.length;
      } catch (error) {
        return (error as Error).message;
      }
      break;
    case "zstd": {
      const parsed = parseZstdFrames(from);
      if ("error" in parsed) return parsed.error;
      if (parsed.frames.length !== 1) return "more than one frame";
      const pending = zstd.decompress(from, to);
      bytes = typeof pending === "number" ? pending : await pending;
      break;
    }
    default:
      return "no decoder";
  }
  return bytes === to.length ? undefined : `${bytes} bytes of content, expected ${to.length}`;
}
