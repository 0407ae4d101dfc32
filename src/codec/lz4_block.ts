/**
 * Decodes one LZ4 block (lz4_Block_format.md of the lz4 project) that must fill `dst` exactly. Blosc containers hold
 * such blocks; node:zlib has no LZ4. Returns what is wrong, or undefined. Never reads or writes outside its arguments.
 */
export function decodeLz4Block(src: Uint8Array, dst: Uint8Array): string | undefined {
  let from = 0;
  let to = 0;
  while (from < src.length) {
    const token = src[from++];
    let literals = token >> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (from >= src.length) return "a literal length is cut short";
        more = src[from++];
        literals += more;
      } while (more === 255);
    }
    if (literals > src.length - from) return "literals reach past the block";
    if (literals > dst.length - to) return "the block holds more than was expected";
    // Short runs dominate; set() costs more than it saves below some thirty bytes.
    if (literals < 32) for (let i = 0; i < literals; i++) dst[to + i] = src[from + i];
    else dst.set(src.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    // The last sequence of a block has literals only.
    if (from === src.length) break;
    if (src.length - from < 2) return "an offset is cut short";
    const offset = src[from] | (src[from + 1] << 8);
    from += 2;
    if (offset === 0 || offset > to) return "an offset points before the block";
    let match = (token & 15) + 4;
    if (match === 19) {
      let more: number;
      do {
        if (from >= src.length) return "a match length is cut short";
        more = src[from++];
        match += more;
      } while (more === 255);
    }
    if (match > dst.length - to) return "the block holds more than was expected";
    // Byte by byte on purpose: source and destination overlap when the offset is shorter than the match.
    for (let i = 0; i < match; i++) dst[to + i] = dst[to + i - offset];
    to += match;
  }
  return to === dst.length ? undefined : `the block holds ${to} bytes, expected ${dst.length}`;
}
