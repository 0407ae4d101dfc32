import type { NativeAddon } from "../native/addon.js";
import { blockEncoder } from "./block_encoder.js";
import type { ChunkEncoder, CodecSpec } from "./codec.js";
import { nativeBlockEncoder } from "./native_block_encoder.js";
import { noneEncoder } from "./none.js";

/**
 * An encoder for the calling thread.
 * @param itemBytes bytes per element, which the block encoder must know
 * @param addon encodes natively where the block encoder is asked for; without it TypeScript writes the same bytes
 * @throws MillraceError CODEC_UNAVAILABLE when nothing on this machine provides the codec
 */
export async function openEncoder(
  spec: CodecSpec,
  itemBytes: number,
  addon: NativeAddon | undefined,
): Promise<ChunkEncoder> {
  if (spec.name === "none") return noneEncoder();
  if (spec.name === "zstd" && spec.level !== undefined) {
    // Loaded only here: a web page has no libzstd.
    const { openZstdEncoder } = await import("./libzstd.js");
    return await openZstdEncoder(spec.level);
  }
  return addon === undefined ? blockEncoder(spec.name, itemBytes) : nativeBlockEncoder(addon, spec.name, itemBytes);
}

/**
 * Who would encode, with version; so that a writer can refuse before it starts threads.
 * @throws MillraceError CODEC_UNAVAILABLE when nothing on this machine provides the codec; the hint says what to
 * install
 */
export async function codecProvider(spec: CodecSpec, addon: NativeAddon | undefined): Promise<string> {
  const encoder = await openEncoder(spec, 1, addon);
  encoder.close();
  return encoder.provider;
}
