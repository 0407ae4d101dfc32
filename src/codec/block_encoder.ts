import type { ChunkEncoder } from "./codec.js";
import { ENCODER_VERSION, encodeBlosc, encodeZstd } from "./encoder/index.js";

/** The block encoder in TypeScript: right everywhere, for machines without the addon. */
export function blockEncoder(codec: "blosc" | "zstd", itemBytes: number): ChunkEncoder {
  const encode = codec === "blosc" ? encodeBlosc : encodeZstd;
  return {
    provider: `millrace encoder ${ENCODER_VERSION} (typescript)`,
    encode: (src, dst) => encode(src, itemBytes, dst),
    close() {},
  };
}
