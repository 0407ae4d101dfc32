import { gunzipSync } from "node:zlib";
import { type ErrorContext, isMillraceError, MillraceError } from "../base/errors.js";
import { type DType, itemBytes } from "../geometry/dtype.js";
import { BloscError, decodeBlosc } from "./blosc_decode.js";
import { crc32c } from "./crc32c.js";
import { findZstdDecoder, type ZstdLibrary } from "./libzstd.js";
import { parseZstdFrames } from "./zstd_frame.js";

/**
 * What a chunk may take encoded, at any stage of any chain; more is damage. No encoder that means well grows data so
 * much; it bounds what a decoder reads and holds.
 */
export function encodedBytesMax(chunkBytes: number): number {
  return 2 * chunkBytes + ENCODED_SLACK_BYTES;
}

/** For headers, checksums, names in gzip headers, skippable frames. */
const ENCODED_SLACK_BYTES = 65536;

export interface ChunkDecoder {
  /** Names of the chain, outermost first: "zstd, bytes". */
  readonly description: string;
  /**
   * Undoes the whole chain: the elements of the chunk, little-endian, C order. Every checksum is verified. The result
   * may be a view of `src`.
   * @param expectedBytes raw bytes of a chunk; any other length is an error
   * @throws MillraceError STORE_CORRUPT when the bytes do not decode to exactly that, with `checksum: true` in its
   *   context where a checksum said so; STORE_UNSUPPORTED for a valid stream of a kind not read here;
   *   OUT_OF_MEMORY when there is no memory for it
   */
  decode(src: Uint8Array, expectedBytes: number): Promise<Uint8Array>;
}

/** What a stage may produce. `exact` where the size follows from the chunk's, else an upper bound against bombs. */
interface Allowed {
  readonly bytes: number;
  readonly exact: boolean;
}

interface Stage {
  readonly name: string;
  /** What this stage's input may be, from what its output may be: the chain is undone from its end. */
  inputAllowed(output: Allowed): Allowed;
  decode(src: Uint8Array, allowed: Allowed): Uint8Array | Promise<Uint8Array>;
}

/**
 * A decoder for the codec chain of a chunk, as zarr.json holds it (for a sharded array the inner `codecs`).
 * Knows bytes (either byte order), zstd, blosc (zstd, lz4, zlib inside), gzip and crc32c.
 * @throws MillraceError STORE_CORRUPT for a malformed chain, STORE_UNSUPPORTED for a codec or setting that is not read
 * here
 */
export async function openDecoder(codecs: unknown, dtype: DType): Promise<ChunkDecoder> {
  if (!Array.isArray(codecs) || codecs.length === 0) throw malformed("codecs: expected a list with at least one codec");
  const parsed = codecs.map(parseCodec);
  const [first, ...rest] = parsed;
  // Array → array codecs come first; none of them is read.
  if (first.name !== "bytes") throw unsupported(first.name, "an array of this kind of codec is not read");
  const swap = byteSwap(first, dtype);
  let zstd: ZstdLibrary | undefined;
  if (rest.some(({ name }) => name === "zstd" || name === "blosc")) zstd = await findZstdDecoder();
  const stages = rest.map((codec) => stageOf(codec, zstd));
  return {
    description: parsed
      .map(({ name }) => name)
      .reverse()
      .join(", "),
    async decode(src, expectedBytes) {
      // allowed[i] is for the output of stages[i].
      const allowed: Allowed[] = [];
      let next: Allowed = { bytes: expectedBytes, exact: true };
      const most = encodedBytesMax(expectedBytes);
      for (const stage of stages) {
        allowed.push(next);
        const { bytes, exact } = stage.inputAllowed(next);
        // A bound for every stage by itself would double with each: gigabytes, at the outer end of a long chain.
        next = { bytes: exact ? bytes : Math.min(bytes, most), exact };
      }
      let bytes = src;
      for (let i = stages.length - 1; i >= 0; i--) {
        bytes = await runStage(stages[i], bytes, allowed[i]);
      }
      if (bytes.length !== expectedBytes) {
        throw corrupt("bytes", `the chunk holds ${bytes.length} bytes, expected ${expectedBytes}`);
      }
      return swap > 1 ? swapped(bytes, swap) : bytes;
    },
  };
}

interface Codec {
  readonly name: string;
  readonly configuration: Readonly<Record<string, unknown>>;
}

function parseCodec(value: unknown): Codec {
  // Zarr v3.1 lets a name stand for an object without configuration.
  if (typeof value === "string") return { name: value, configuration: {} };
  if (!isObject(value) || typeof value.name !== "string") throw malformed("codecs: expected objects with a name");
  if (value.configuration !== undefined && !isObject(value.configuration)) {
    throw malformed(`codec ${value.name}: configuration is no object`);
  }
  return { name: value.name, configuration: value.configuration ?? {} };
}

/** Bytes to reverse in every element, or 1. */
function byteSwap(codec: Codec, dtype: DType): number {
  const size = itemBytes(dtype);
  const { endian } = codec.configuration;
  if (endian !== undefined && endian !== "little" && endian !== "big") throw malformed(`codec bytes: unknown endian`);
  if (size === 1) return 1;
  if (endian === undefined) throw malformed(`codec bytes: endian is missing, and ${dtype} has ${size} bytes`);
  return endian === "big" ? size : 1;
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const copy = Buffer.from(bytes);
  if (size === 2) copy.swap16();
  else if (size === 4) copy.swap32();
  else copy.swap64();
  return new Uint8Array(copy.buffer, copy.byteOffset, copy.length);
}

function stageOf({ name }: Codec, zstd: ZstdLibrary | undefined): Stage {
  switch (name) {
    case "crc32c":
      return {
        name,
        inputAllowed: ({ bytes, exact }) => ({ bytes: bytes + 4, exact }),
        decode: (src) => stripCrc32c(src),
      };
    case "zstd":
      return { name, inputAllowed: anySize, decode: (src, allowed) => decodeZstd(src, allowed.bytes, zstd!) };
    case "blosc":
      return { name, inputAllowed: anySize, decode: (src, allowed) => decodeBlosc(src, allowed.bytes, zstd!) };
    case "gzip":
      return { name, inputAllowed: anySize, decode: (src, allowed) => gunzip(src, allowed.bytes) };
    case "sharding_indexed":
      throw unsupported(name, "sharding inside a shard is not read");
    default:
      throw unsupported(name, "this codec is not read");
  }
}

/**
 * A compressor's output can be a little larger than its input; twice plus a bit covers every encoder that means well.
 */
function anySize(output: Allowed): Allowed {
  return { bytes: encodedBytesMax(output.bytes), exact: false };
}

async function runStage(stage: Stage, src: Uint8Array, allowed: Allowed): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await stage.decode(src, allowed);
  } catch (error) {
    if (isMillraceError(error)) throw error;
    if (error instanceof BloscError && error.unsupported) throw unsupported(stage.name, error.message, error);
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof RangeError && /allocat/i.test(message)) {
      throw new MillraceError("OUT_OF_MEMORY", `codec ${stage.name}: ${message}.`, {
        context: { codec: stage.name, bytes: allowed.bytes },
        cause: error,
      });
    }
    throw corrupt(stage.name, message, error, CHECKSUM_MESSAGE.test(message));
  }
  if (allowed.exact ? bytes.length !== allowed.bytes : bytes.length > allowed.bytes) {
    throw corrupt(
      stage.name,
      `decodes to ${bytes.length} bytes, expected ${allowed.exact ? "" : "at most "}${allowed.bytes}`,
    );
  }
  return bytes;
}

/** How libzstd ("Restored data doesn't match checksum") and zlib ("incorrect data check") put it. */
const CHECKSUM_MESSAGE = /checksum|incorrect data check/i;

/** Checks and removes the checksum that the crc32c codec appends (little-endian, Zarr v3 codecs/crc32c). */
function stripCrc32c(src: Uint8Array): Uint8Array {
  if (src.length < 4) throw corrupt("crc32c", `${src.length} bytes are too few for a checksum`);
  const content = src.subarray(0, src.length - 4);
  const stored = new DataView(src.buffer, src.byteOffset + content.length, 4).getUint32(0, true);
  const computed = crc32c(content);
  if (computed !== stored) {
    throw corrupt("crc32c", `checksum ${hex(computed)} does not match the stored ${hex(stored)}`, undefined, true);
  }
  return content;
}

/** Frames one by one, so that every library treats several frames, skippable ones and stray bytes alike. */
async function decodeZstd(src: Uint8Array, maxBytes: number, zstd: ZstdLibrary): Promise<Uint8Array> {
  const parsed = parseZstdFrames(src);
  if ("error" in parsed) throw corrupt("zstd", parsed.error);
  let stated = 0;
  let most = 0;
  for (const { contentBytes, contentBytesMax } of parsed.frames) {
    stated += contentBytes ?? 0;
    most += contentBytes ?? contentBytesMax;
  }
  // The header is judged before memory is taken: a few bytes can claim terabytes.
  if (stated > maxBytes) throw corrupt("zstd", `the frame holds ${stated} bytes, expected at most ${maxBytes}`);
  const liar = parsed.frames.find(({ contentBytes = 0, contentBytesMax }) => contentBytes > contentBytesMax);
  if (liar !== undefined) {
    throw corrupt(
      "zstd",
      `the header says ${liar.contentBytes} bytes, the blocks hold ${liar.contentBytesMax} at most`,
    );
  }
  const result = new Uint8Array(Math.min(most, maxBytes));
  let at = 0;
  for (const frame of parsed.frames) {
    const room = frame.contentBytes === undefined ? result.length : at + frame.contentBytes;
    const pending = zstd.decompress(src.subarray(frame.start, frame.end), result.subarray(at, room));
    const bytes = typeof pending === "number" ? pending : await pending;
    if (frame.contentBytes !== undefined && bytes !== frame.contentBytes) {
      throw corrupt("zstd", `the frame holds ${bytes} bytes, its header says ${frame.contentBytes}`);
    }
    at += bytes;
  }
  return at === result.length ? result : result.subarray(0, at);
}

function gunzip(src: Uint8Array, maxBytes: number): Uint8Array {
  const content = gunzipSync(src, { maxOutputLength: Math.max(1, maxBytes) });
  return new Uint8Array(content.buffer, content.byteOffset, content.length);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function hex(word: number): string {
  return `0x${word.toString(16).padStart(8, "0")}`;
}

function corrupt(codec: string, message: string, cause?: unknown, checksum = false): MillraceError {
  const context: ErrorContext = checksum ? { codec, checksum } : { codec };
  return new MillraceError("STORE_CORRUPT", `codec ${codec}: ${message}.`, { context, cause });
}

function malformed(message: string): MillraceError {
  return new MillraceError("STORE_CORRUPT", `${message}.`, { context: { member: "codecs" } });
}

function unsupported(codec: string, message: string, cause?: unknown): MillraceError {
  return new MillraceError("STORE_UNSUPPORTED", `codec ${codec}: ${message}.`, { context: { codec }, cause });
}
