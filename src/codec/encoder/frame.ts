import { analyzeBlock } from "./block.js";
import { BLOCK_BYTES_MAX, SINGLE_SEGMENT_MAX } from "./bounds.js";
import { concat, littleEndian } from "./literals_section.js";

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const WINDOW_32_KIB = 0x28;
const BLOCK_TYPES = { raw: 0, rle: 1, compressed: 2 };

/**
 * One zstd frame of planes, docs/encoder.md §2: blocks end where planes end.
 * @param planes of equal length, one behind the other in `content`
 */
export function encodeFrame(content: Uint8Array, planes: number, period: number): Uint8Array {
  const single = content.length <= SINGLE_SEGMENT_MAX;
  const parts = [
    Uint8Array.from([...MAGIC, ...(single ? [0xa0] : [0x80, WINDOW_32_KIB])]),
    littleEndian(content.length, 4),
  ];
  const planeBytes = content.length / planes;
  for (let plane = 0; plane < planes; plane++) {
    for (let from = 0; from < planeBytes; from += BLOCK_BYTES_MAX) {
      const to = Math.min(from + BLOCK_BYTES_MAX, planeBytes);
      const block = content.subarray(plane * planeBytes + from, plane * planeBytes + to);
      const { type, payload } = analyzeBlock(block, period);
      const last = plane === planes - 1 && to === planeBytes ? 1 : 0;
      const size = type === "compressed" ? payload.length : block.length;
      parts.push(littleEndian(last | (BLOCK_TYPES[type] << 1) | (size << 3), 3), payload);
    }
  }
  return concat(parts);
}
