import { MillraceError } from "../base/errors.js";
import { floorDiv, isCount } from "../base/integers.js";
import { type DType, itemBytes } from "../geometry/dtype.js";

/** How chunks are encoded, every choice made. Plain data: it crosses threads. */
export type CodecSpec =
  | { readonly name: "none" }
  /** Zarr `zstd` through libzstd. */
  | { readonly name: "zstd"; readonly level: number };

export const CODEC_NAMES = ["none", "zstd"] as const satisfies readonly CodecSpec["name"][];

/** Levels that the `zstd` codec of zarr-extensions allows; 0 means libzstd's default, which is 3. */
export const ZSTD_LEVEL_MIN = -131072;
export const ZSTD_LEVEL_MAX = 22;
export const ZSTD_LEVEL_DEFAULT = 1;

/**
 * Turns chunks into their stored form. One per thread: an encoder keeps a context that is not shared.
 */
export interface ChunkEncoder {
  /** What does the work, with its version: "zstd-napi (libzstd 1.5.7)". Encoded bytes may differ between versions. */
  readonly provider: string;
  /**
   * Encodes `src` to the front of `dst` and returns the bytes written. Synchronous. Both may lie over SharedArrayBuffer and
   * must not overlap. `dst` of {@link codecBound} bytes always suffices; what lies behind the bytes written is undefined.
   * @throws MillraceError CODEC_FAILED when `dst` is too small or the library reports an error; `dst` then holds garbage.
   */
  encode(src: Uint8Array, dst: Uint8Array): number;
  /** Lets go of the context. Idempotent; no call of `encode` may follow. */
  close(): void;
}

/**
 * Checks a codec given by the caller and fills in its defaults.
 * @param value what the option `array.codec` holds: `{ name, level? }`, or text as on the command line: "none", "zstd", "zstd:5"
 * @throws MillraceError UNKNOWN_CODEC for a name that is none of ours, NOT_YET for a name of a later version,
 *   INVALID_OPTION for a bad level or shape
 */
export function resolveCodec(value: unknown): CodecSpec {
  if (typeof value === "string") return resolveCodec(codecFromText(value));
  if (typeof value !== "object" || value === null || !("name" in value)) {
    throw new MillraceError("INVALID_OPTION", `codec: expected an object with a name, got ${describe(value)}.`, {
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
      if (level !== undefined) {
        throw new MillraceError("INVALID_OPTION", "codec.level: codec none has no level.", {
          context: { option: "codec.level" },
        });
      }
      return { name };
    case "zstd":
      return { name, level: resolveLevel(level) };
    case "blosc":
      throw new MillraceError("NOT_YET", "codec: this version does not write blosc yet.", {
        context: { option: "codec", name },
        hint: 'Use { name: "zstd" }.',
      });
    case "lz4":
    case "zlib":
    case "deflate":
    case "snappy":
      throw new MillraceError("UNKNOWN_CODEC", `codec: Zarr v3 has no codec ${name}; no reader would open the store.`, {
        context: { option: "codec", name },
        hint: 'Use { name: "zstd" }.',
      });
    default:
      throw new MillraceError(
        "UNKNOWN_CODEC",
        `codec: expected one of ${CODEC_NAMES.join(", ")}, got ${describe(name)}.`,
        {
          context: { option: "codec", name: String(name) },
        },
      );
  }
}

function resolveLevel(level: unknown): number {
  if (level === undefined) return ZSTD_LEVEL_DEFAULT;
  if (typeof level === "number" && Number.isInteger(level) && level >= ZSTD_LEVEL_MIN && level <= ZSTD_LEVEL_MAX) {
    return level === 0 ? 0 : level;
  }
  throw new MillraceError(
    "INVALID_OPTION",
    `codec.level: expected a whole number from ${ZSTD_LEVEL_MIN} to ${ZSTD_LEVEL_MAX}, got ${describe(level)}.`,
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
 * The codec chain of a chunk as zarr.json holds it: `bytes`, then what compresses.
 * `bytes` carries `endian` only where an element has more than one byte (Zarr v3 core, `bytes` codec); `zstd` carries both of
 * its members, because n5-zarr requires both although the specification lets `checksum` be left out.
 */
export function codecJson(spec: CodecSpec, dtype: DType): CodecJson[] {
  const bytes: CodecJson =
    itemBytes(dtype) === 1 ? { name: "bytes" } : { name: "bytes", configuration: { endian: "little" } };
  switch (spec.name) {
    case "none":
      return [bytes];
    case "zstd":
      return [bytes, { name: "zstd", configuration: { level: spec.level, checksum: false } }];
  }
}

export interface CodecJson {
  readonly name: string;
  readonly configuration?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * The most bytes that an encoded chunk of `chunkBytes` raw bytes can take, at any level.
 * zstd: the formula of ZSTD_COMPRESSBOUND in zstd.h, n + ⌊n / 256⌋ + (n < 128 KiB ? ⌊(128 KiB − n) / 2048⌋ : 0).
 * @throws MillraceError BAD_GEOMETRY when `chunkBytes` is no byte count
 */
export function codecBound(spec: CodecSpec, chunkBytes: number): number {
  if (!isCount(chunkBytes)) {
    throw new MillraceError("BAD_GEOMETRY", `a chunk must hold a whole number of bytes, got ${chunkBytes}.`);
  }
  switch (spec.name) {
    case "none":
      return chunkBytes;
    case "zstd": {
      const small = 128 * 1024;
      return chunkBytes + floorDiv(chunkBytes, 256) + (chunkBytes < small ? floorDiv(small - chunkBytes, 2048) : 0);
    }
  }
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return String(value);
}
