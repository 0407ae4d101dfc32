import { MillraceError } from "../base/errors.js";
import type { ChunkEncoder } from "./codec.js";

/** The encoder of codec none: a copy. */
export function noneEncoder(): ChunkEncoder {
  return {
    provider: "copy",
    encode(src, dst) {
      if (dst.length < src.length) {
        throw new MillraceError(
          "CODEC_FAILED",
          `codec none: a chunk of ${src.length} bytes does not fit in ${dst.length}.`,
          {
            context: { codec: "none", srcBytes: src.length, dstBytes: dst.length },
          },
        );
      }
      dst.set(src);
      return src.length;
    },
    close() {},
  };
}
