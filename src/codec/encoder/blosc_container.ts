import { BLOCK_BYTES_MAX } from "./bounds.js";
import { encodeFrame } from "./frame.js";
import { concat, littleEndian } from "./literals_section.js";
import { framePeriod } from "./sample.js";

const HEADER_BYTES = 16;
const FLAG_SHUFFLE = 0x01;
const FLAG_STORED = 0x02;
const FLAGS_ZSTD_NOT_SPLIT = 0x90;

/** A chunk as a Blosc1 container, docs/encoder.md §8. */
export function encodeBloscContainer(chunk: Uint8Array, itemBytes: number): Uint8Array {
  const blockBytes = Math.min(BLOCK_BYTES_MAX * Math.max(itemBytes, 2), chunk.length);
  const flags = FLAGS_ZSTD_NOT_SPLIT | (itemBytes > 1 ? FLAG_SHUFFLE : 0);
  const header = (extraFlags: number, bytes: number): Uint8Array =>
    concat([
      Uint8Array.of(2, 1, flags | extraFlags, itemBytes),
      littleEndian(chunk.length, 4),
      littleEndian(blockBytes, 4),
      littleEndian(bytes, 4),
    ]);
  const blocks = Math.ceil(chunk.length / blockBytes);
  const starts: Uint8Array[] = [];
  const payloads: Uint8Array[] = [];
  let at = HEADER_BYTES + 4 * blocks;
  for (let k = 0; k < blocks; k++) {
    const block = chunk.subarray(k * blockBytes, (k + 1) * blockBytes);
    const planes = shufflePlanes(block, itemBytes);
    const frame = encodeFrame(planes, itemBytes, framePeriod(block, itemBytes));
    const payload = frame.length < planes.length ? frame : planes;
    starts.push(littleEndian(at, 4));
    payloads.push(littleEndian(payload.length, 4), payload);
    at += 4 + payload.length;
  }
  if (at >= chunk.length + HEADER_BYTES) return concat([header(FLAG_STORED, chunk.length + HEADER_BYTES), chunk]);
  return concat([header(0, at), ...starts, ...payloads]);
}

/** Byte p of element i goes to p · elements + i. */
export function shufflePlanes(block: Uint8Array, itemBytes: number): Uint8Array {
  if (itemBytes === 1) return block;
  const elements = block.length / itemBytes;
  const planes = new Uint8Array(block.length);
  for (let plane = 0; plane < itemBytes; plane++) {
    for (let i = 0, from = plane; i < elements; i++, from += itemBytes) planes[plane * elements + i] = block[from];
  }
  return planes;
}
