/**
 * The block encoder in TypeScript: the oracle of the C++ and GPU ones, stage by stage as docs/encoder.md has them, and
 * the encoder of machines without the addon and of browsers. Nothing here needs Node.
 */
import { MillraceError } from "../../base/errors.js";
import { encodeBloscContainer } from "./blosc_container.js";
import { CHUNK_BYTES_MAX } from "./bounds.js";
import { encodeFrame } from "./frame.js";
import { framePeriod } from "./sample.js";

export { analyzeBlock, type BlockAnalysis, type BlockType } from "./block.js";
export { bloscBound, zstdBound } from "./bounds.js";

/** Version of docs/encoder.md. The bytes of a chunk change only with it. */
export const ENCODER_VERSION = 1;

/** Encodes a chunk to the front of `dst` and returns the bytes written; `dst` behind them is left alone. */
type Encode = (src: Uint8Array, itemBytes: number, dst: Uint8Array) => number;

/**
 * Codec blosc: a Blosc1 container with zstd frames inside.
 * @param src a chunk of whole elements, at least one; may lie over a SharedArrayBuffer, as `dst` may
 * @param itemBytes bytes per element, 1 … 255
 * @param dst `bloscBound(src.length)` bytes always suffice; must not overlap `src`
 * @throws MillraceError CODEC_FAILED for what is no chunk, and for a `dst` that is too small, which is then unchanged
 */
export const encodeBlosc: Encode = (src, itemBytes, dst) => {
  checkChunk(src, itemBytes);
  return deliver(encodeBloscContainer(src, itemBytes), dst);
};

/** Codec zstd: one zstd frame; otherwise as {@link encodeBlosc}, with `zstdBound`. */
export const encodeZstd: Encode = (src, itemBytes, dst) => {
  checkChunk(src, itemBytes);
  return deliver(encodeFrame(src, 1, framePeriod(src, itemBytes) * itemBytes), dst);
};

function checkChunk(src: Uint8Array, itemBytes: number): void {
  const width = Number.isInteger(itemBytes) && itemBytes >= 1 && itemBytes <= 255;
  if (width && src.length > 0 && src.length <= CHUNK_BYTES_MAX && src.length % itemBytes === 0) return;
  throw new MillraceError(
    "CODEC_FAILED",
    `block encoder: expected whole elements of 1 to 255 bytes, at least one and at most ${CHUNK_BYTES_MAX} bytes, ` +
      `got ${src.length} bytes of elements of ${itemBytes}.`,
    { context: { srcBytes: src.length, itemBytes } },
  );
}

function deliver(encoded: Uint8Array, dst: Uint8Array): number {
  if (encoded.length > dst.length) {
    throw new MillraceError(
      "CODEC_FAILED",
      `block encoder: the chunk takes ${encoded.length} bytes, there is room for ${dst.length}.`,
      { context: { encodedBytes: encoded.length, dstBytes: dst.length } },
    );
  }
  dst.set(encoded);
  return encoded.length;
}
