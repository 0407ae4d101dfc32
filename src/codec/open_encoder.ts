import type { ChunkEncoder, CodecSpec } from "./codec.js";
import { openZstdEncoder } from "./libzstd.js";
import { noneEncoder } from "./none.js";

/**
 * An encoder for the calling thread.
 * @throws MillraceError CODEC_UNAVAILABLE when nothing on this machine provides the codec
 */
export async function openEncoder(spec: CodecSpec): Promise<ChunkEncoder> {
  switch (spec.name) {
    case "none":
      return noneEncoder();
    case "zstd":
      return await openZstdEncoder(spec.level);
  }
}

/**
 * Who would encode, with version; so that a writer can refuse before it starts threads.
 * @throws MillraceError CODEC_UNAVAILABLE when nothing on this machine provides the codec; the hint says what to install
 */
export async function codecProvider(spec: CodecSpec): Promise<{ readonly provider: string }> {
  const encoder = await openEncoder(spec);
  encoder.close();
  return { provider: encoder.provider };
}
