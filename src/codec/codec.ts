import { MillraceError } from "../base/errors.js";
import { floorDiv, isCount } from "../base/integers.js";
import { describeValue } from "../base/option_values.js";
import { type DType, itemBytes } from "../geometry/dtype.js";
import { BLOCK_BYTES_MAX, bloscBound, zstdBound } from "./encoder/bounds.js";

/** How chunks are encoded, every choice made. Plain data: it crosses threads. */
export type CodecSpec =
  | { readonly name: "none" }
  /** Zarr `blosc` (zstd inside, byte shuffle) by Millrace's block encoder; docs/encoder.md. */
  | { readonly name: "blosc" }
  /** Zarr `zstd`: without a level by Millrace's block encoder, with one by libzstd at that level. */
  | { readonly name: "zstd"; readonly level?: number };

const CODEC_NAMES = ["none", "blosc", "zstd"] as const satisfies readonly CodecSpec["name"][];

/** Who turns chunks into stored bytes. */
type EncoderKind = "none" | "millrace" | "libzstd";

export function encoderKind(spec: CodecSpec): EncoderKind {
  if (spec.name === "none") return "none";
  return spec.name === "zstd" && spec.level !== undefined ? "libzstd" : "millrace";
}

/**
 * The codec of an array for which none was asked: `blosc` where elements have more than one byte, since separating the
 * bytes of an element is most of the gain; else `zstd`, which more readers have.
 */
export function defaultCodec(dtype: DType): CodecSpec {
  return itemBytes(dtype) === 1 ? { name: "zstd" } : { name: "blosc" };
}

/** Levels that the `zstd` codec of zarr-extensions allows; 0 means libzstd's default, which is 3. */
const ZSTD_LEVEL_MIN = -131072;
const ZSTD_LEVEL_MAX = 22;

/** What zarr.json states for chunks of the block encoder, which has no levels; decoders ignore it. */
const NOMINAL_LEVEL = 1;

/** What the native encoder holds for one zstd block, at least the frame of a block of codec zstd included. */
const BLOCK_SCRATCH_BYTES = 264 * 1024;

/**
 * Turns chunks into their stored form. One per thread: an encoder keeps a context that is not shared.
 */
export interface ChunkEncoder {
  /** What does the work, with its version: "zstd-napi (libzstd 1.5.7)". libzstd's bytes may differ between versions. */
  readonly provider: string;
  /**
   * Encodes `src` to the front of `dst` and returns the bytes written. Synchronous. Both may lie over SharedArrayBuffer
   * and must not overlap. `dst` of {@link codecBound} bytes always suffices; what lies behind the bytes written is
   * undefined.
   * @throws MillraceError CODEC_FAILED when `dst` is too small or the library reports an error; `dst` then holds
   * garbage.
   */
  encode(src: Uint8Array, dst: Uint8Array): number;
  /** Lets go of the context. Idempotent; no call of `encode` may follow. */
  close(): void;
}

/**
 * Checks a codec given by the caller and fills in its defaults.
 * @param value what the option `array.codec` holds: `{ name, level? }`, or text as on the command line: "none",
 *   "blosc", "zstd", "zstd:5"
 * @throws MillraceError UNKNOWN_CODEC for a name that is none of ours, INVALID_OPTION for a bad level or shape
 */
export function resolveCodec(value: unknown): CodecSpec {
  if (typeof value === "string") return resolveCodec(codecFromText(value));
  if (typeof value !== "object" || value === null || !("name" in value)) {
    throw new MillraceError("INVALID_OPTION", `codec: expected an object with a name, got ${describeValue(value)}.`, {
      context: { option: "codec" },
      hint: `Known codecs: ${CODEC_NAMES.join(", ")}.`,
    });
  }
  const { name, level, ...rest } = value as { name: unknown; level?: unknown };
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) {
    throw new MillraceError("INVALID_OPTION", `codec.${unknown}: there is no such option.`, {
      context: { option: `codec.${unknown}` },
    });
  }
  switch (name) {
    case "none":
    case "blosc":
      if (level !== undefined) {
        throw new MillraceError("INVALID_OPTION", `codec.level: codec ${name} has no level.`, {
          context: { option: "codec.level" },
          hint: 'Levels belong to libzstd: { name: "zstd", level }.',
        });
      }
      return { name };
    case "zstd":
      return level === undefined ? { name } : { name, level: resolveLevel(level) };
    case "lz4":
    case "zlib":
    case "deflate":
    case "snappy":
      throw new MillraceError("UNKNOWN_CODEC", `codec: Zarr v3 has no codec ${name}; no reader would open the store.`, {
        context: { option: "codec", name },
        hint: 'Use { name: "blosc" } or { name: "zstd" }.',
      });
    default:
      throw new MillraceError(
        "UNKNOWN_CODEC",
        `codec: expected one of ${CODEC_NAMES.join(", ")}, got ${describeValue(name)}.`,
        {
          context: { option: "codec", name: typeof name === "string" ? name : describeValue(name) },
        },
      );
  }
}

function resolveLevel(level: unknown): number {
  if (typeof level === "number" && Number.isInteger(level) && level >= ZSTD_LEVEL_MIN && level <= ZSTD_LEVEL_MAX) {
    return level === 0 ? 0 : level;
  }
  throw new MillraceError(
    "INVALID_OPTION",
    `codec.level: expected a whole number from ${ZSTD_LEVEL_MIN} to ${ZSTD_LEVEL_MAX}, got ${describeValue(level)}.`,
    { context: { option: "codec.level" } },
  );
}

function codecFromText(text: string): { name: string; level?: number } {
  const colon = text.indexOf(":");
  if (colon < 0) return { name: text };
  const level = text.slice(colon + 1);
  // Number("") is 0, and Number("0x5") is 5: neither is a level that somebody meant to write.
  return { name: text.slice(0, colon), level: /^-?\d{1,6}$/.test(level) ? Number(level) : Number.NaN };
}

/**
 * The codec chain of a chunk as zarr.json holds it: `bytes`, then what compresses. `bytes` carries `endian` only where
 * an element has more than one byte (Zarr v3 core, `bytes` codec). `zstd` and `blosc` carry all of their members and no
 * other: n5-zarr requires each, zarr-python refuses unknown ones. `clevel`, `level` and `blocksize` do not affect
 * decoding.
 */
export function codecJson(spec: CodecSpec, dtype: DType): CodecJson[] {
  const typesize = itemBytes(dtype);
  const bytes: CodecJson = typesize === 1 ? { name: "bytes" } : { name: "bytes", configuration: { endian: "little" } };
  switch (spec.name) {
    case "none":
      return [bytes];
    case "blosc": {
      const shuffle = typesize === 1 ? "noshuffle" : "shuffle";
      const configuration = { cname: "zstd", clevel: NOMINAL_LEVEL, shuffle, typesize, blocksize: 0 };
      return [bytes, { name: "blosc", configuration }];
    }
    case "zstd":
      return [bytes, { name: "zstd", configuration: { level: spec.level ?? NOMINAL_LEVEL, checksum: false } }];
  }
}

interface CodecJson {
  readonly name: string;
  readonly configuration?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The most bytes that an encoded chunk of `chunkBytes` raw bytes can take, at any level.
 * The block encoder: docs/encoder.md §9. libzstd: the formula of ZSTD_COMPRESSBOUND in zstd.h,
 * n + ⌊n / 256⌋ + (n < 128 KiB ? ⌊(128 KiB − n) / 2048⌋ : 0).
 * @throws MillraceError BAD_GEOMETRY when `chunkBytes` is no byte count
 */
export function codecBound(spec: CodecSpec, chunkBytes: number): number {
  if (!isCount(chunkBytes)) {
    throw new MillraceError("BAD_GEOMETRY", `a chunk must hold a whole number of bytes, got ${chunkBytes}.`);
  }
  switch (spec.name) {
    case "none":
      return chunkBytes;
    case "blosc":
      return bloscBound(chunkBytes);
    case "zstd": {
      if (spec.level === undefined) return zstdBound(chunkBytes);
      const small = 128 * 1024;
      return chunkBytes + floorDiv(chunkBytes, 256) + (chunkBytes < small ? floorDiv(small - chunkBytes, 2048) : 0);
    }
  }
}

/**
 * The memory that an encode thread works in, gathered chunk included, bytes: an upper bound of what the addon takes
 * (its `encoderScratchBytes`), which is about a quarter of a megabyte and two Blosc blocks.
 */
export function encoderScratchBytes(spec: CodecSpec, chunkBytes: number, typesize: number): number {
  switch (encoderKind(spec)) {
    case "none":
      return 0;
    case "libzstd":
      return chunkBytes;
    case "millrace": {
      const block = Math.min(BLOCK_BYTES_MAX * Math.max(typesize, 2), chunkBytes);
      return chunkBytes + BLOCK_SCRATCH_BYTES + 2 * block + 8 * typesize;
    }
  }
}
