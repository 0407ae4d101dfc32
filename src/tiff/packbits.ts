/**
 * PackBits (TIFF 6.0 §9): a count byte, then either that many bytes as they are or one byte to repeat. Decodes into
 * `dst` until it is full
 * or `src` ends; what does not fit is left out.
 * @returns bytes written
 */
export function decodePackBits(src: Uint8Array, dst: Uint8Array): number {
  let to = 0;
  for (let at = 0; at < src.length && to < dst.length; ) {
    const count = src[at++];
    if (count < 128) {
      const run = Math.min(count + 1, src.length - at, dst.length - to);
      dst.set(src.subarray(at, at + run), to);
      at += count + 1;
      to += run;
    } else if (count > 128 && at < src.length) {
      const run = Math.min(257 - count, dst.length - to);
      dst.fill(src[at++], to, to + run);
      to += run;
    }
  }
  return to;
}
