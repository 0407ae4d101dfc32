import { MillraceError } from "../base/errors.js";
import { NATIVE_CODECS, type NativeAddon } from "../native/addon.js";
import type { ChunkEncoder } from "./codec.js";

/** The block encoder in C++, called on the calling thread: for `threads: "inline"` and for benchmarks. */
export function nativeBlockEncoder(addon: NativeAddon, codec: "blosc" | "zstd", itemBytes: number): ChunkEncoder {
  return {
    provider: `millrace encoder ${addon.encoderVersion} (native, ${addon.features.encoder})`,
    encode(src, dst) {
      try {
        return addon.encodeChunk(NATIVE_CODECS[codec], itemBytes, src, dst);
      } catch (error) {
        throw new MillraceError(
          "CODEC_FAILED",
          `codec ${codec}: ${src.length} bytes into room for ${dst.length} failed: ${(error as Error).message}.`,
          { context: { codec, srcBytes: src.length, dstBytes: dst.length }, cause: error },
        );
      }
    },
    close() {},
  };
}
