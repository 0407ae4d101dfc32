/**
 * The inverse of Blosc's filters. Both write `dst`, which has the length of `src`.
 */

/** Byte planes → elements. Bytes behind the last whole element were left as they are. */
export function unshuffle(src: Uint8Array, dst: Uint8Array, typesize: number): void {
  const elements = Math.floor(src.length / typesize);
  const whole = elements * typesize;
  for (let plane = 0; plane < typesize; plane++) {
    const base = plane * elements;
    for (let i = 0, to = plane; i < elements; i++, to += typesize) dst[to] = src[base + i];
  }
  dst.set(src.subarray(whole), whole);
}

/**
 * Bit planes → elements: row 8·b + k holds bit k of byte b of every element, eight elements to a byte, first element lowest.
 * c-blosc 1 leaves a block alone whose element count is no multiple of eight.
 */
export function bitUnshuffle(src: Uint8Array, dst: Uint8Array, typesize: number): void {
  const elements = Math.floor(src.length / typesize);
  if (elements % 8 !== 0) {
    dst.set(src);
    return;
  }
  const rowBytes = elements / 8;
  for (let b = 0; b < typesize; b++) {
    const base = 8 * b * rowBytes;
    for (let group = 0; group < rowBytes; group++) {
      for (let e = 0; e < 8; e++) {
        let byte = 0;
        for (let k = 0; k < 8; k++) byte |= ((src[base + k * rowBytes + group] >> e) & 1) << k;
        dst[(8 * group + e) * typesize + b] = byte;
      }
    }
  }
  const whole = elements * typesize;
  dst.set(src.subarray(whole), whole);
}
