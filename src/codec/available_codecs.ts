import { loadAddon } from "../native/binding.js";
import { findZstdDecoder, findZstdEncoder } from "./libzstd.js";
import { codecProvider } from "./open_encoder.js";

/** What can be done with one codec here. */
export interface CodecAvailability {
  /** As `--codec` spells it. */
  readonly codec: string;
  /** Who encodes it; undefined: nobody, or Millrace only reads it. */
  readonly write: string | undefined;
  /** Who decodes it. */
  readonly read: string;
  /** Why better providers were passed over. */
  readonly missing: readonly string[];
}

/** What this machine can write and read, for `millrace doctor`. */
export async function availableCodecs(): Promise<CodecAvailability[]> {
  const encoder = await findZstdEncoder();
  const decoder = await findZstdDecoder();
  const builtIn = "built in";
  const own = await codecProvider({ name: "blosc" }, loadAddon());
  return [
    { codec: "none", write: builtIn, read: builtIn, missing: [] },
    { codec: "blosc", write: own, read: `${builtIn}; zstd inside by ${decoder.provider}`, missing: [] },
    { codec: "zstd", write: own, read: decoder.provider, missing: [] },
    { codec: "zstd:LEVEL", write: encoder.library?.provider, read: decoder.provider, missing: encoder.missing },
    { codec: "gzip", write: undefined, read: `node:zlib (zlib ${process.versions.zlib})`, missing: [] },
    { codec: "crc32c", write: builtIn, read: builtIn, missing: [] },
  ];
}
