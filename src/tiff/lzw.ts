/**
 * LZW as TIFF has it (TIFF 6.0 §13): codes of 9 to 12 bits, most significant bit first, and the width grows one code
 * early.
 */

const CLEAR = 256;
const END = 257;
const FIRST_FREE = 258;
const TABLE_MAX = 4096;

/**
 * Decodes into `dst` until it is full, the end code comes or `src` ends; what does not fit is left out.
 *
 * The specification has an encoder clear the table behind entry 4094, and many let it fill instead. Then no entry is
 * added any more and
 * codes stay at 12 bits until the table is cleared, which is right for both kinds.
 * @returns bytes written
 * @throws Error for a code that no entry stands for
 */
export function decodeLzw(src: Uint8Array, dst: Uint8Array): number {
  // Entry = the entry before it, and one byte more. Its length tells where to write it from its end.
  const prefix = new Uint16Array(TABLE_MAX);
  const suffix = new Uint8Array(TABLE_MAX);
  const length = new Uint16Array(TABLE_MAX);
  for (let i = 0; i < 256; i++) {
    suffix[i] = i;
    length[i] = 1;
  }
  let next = FIRST_FREE;
  let width = 9;
  let previous = -1;
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  let to = 0;
  while (to < dst.length) {
    while (bitCount < width) {
      if (at === src.length) return to;
      bits = ((bits << 8) | src[at++]) & 0xfffff;
      bitCount += 8;
    }
    bitCount -= width;
    const code = (bits >>> bitCount) & ((1 << width) - 1);
    if (code === END) return to;
    if (code === CLEAR) {
      next = FIRST_FREE;
      width = 9;
      previous = -1;
      continue;
    }
    if (previous === -1) {
      if (code > 255) throw new Error(`LZW: code ${code} stands where a byte must`);
      dst[to++] = code;
      previous = code;
      continue;
    }
    // The entry that this very code completes: the string before, and that string's first byte again.
    const own = code === next && next < TABLE_MAX;
    if (!own && code >= next) throw new Error(`LZW: code ${code} is not in the table of ${next}`);
    const count = own ? length[previous] + 1 : length[code];
    let entry = own ? previous : code;
    let end = to + count;
    if (own) end--;
    for (let i = end - 1; i >= to; i--) {
      if (i < dst.length) dst[i] = suffix[entry];
      // The last one is a byte itself: it stays, as the string's first byte.
      if (i > to) entry = prefix[entry];
    }
    const first = suffix[entry];
    if (own && end < dst.length) dst[end] = first;
    to = Math.min(to + count, dst.length);
    if (next < TABLE_MAX) {
      prefix[next] = previous;
      suffix[next] = first;
      length[next] = length[previous] + 1;
      next++;
      if (next + 1 >= 1 << width && width < 12) width++;
    }
    previous = code;
  }
  return to;
}
