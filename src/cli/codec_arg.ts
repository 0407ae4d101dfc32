import { resolveCodec } from "../codec/codec.js";
import type { CodecOptions } from "../options.js";

/**
 * Parses `--codec`: `none`, `blosc`, `zstd` or `zstd:LEVEL`, by the library's own rules, so that both say the same.
 * @throws MillraceError UNKNOWN_CODEC, INVALID_OPTION
 */
export function parseCodec(text: string): CodecOptions {
  return resolveCodec(text);
}

/** The inverse, for messages. */
export function formatCodec(codec: CodecOptions): string {
  return codec.name === "zstd" && codec.level !== undefined ? `zstd:${codec.level}` : codec.name;
}
