import { codeLengths, codeValues, codeWeights } from "./huffman_code.js";
import { describeTree } from "./huffman_tree.js";

const ONE_STREAM_BELOW = 256;

/** The Literals_Section with what it was made from. */
export interface LiteralsSection {
  readonly form: "raw" | "compressed";
  readonly counts: Uint32Array;
  /** Of compressed literals, and of those for which that was tried in vain. */
  readonly lengths?: Uint8Array;
  readonly tree?: Uint8Array;
  readonly streams?: readonly Uint8Array[];
  readonly bytes: Uint8Array;
}

/** docs/encoder.md §4. */
export function literalsSection(literals: Uint8Array): LiteralsSection {
  const counts = histogramOf(literals);
  const raw: LiteralsSection = { form: "raw", counts, bytes: concat([rawHeader(literals.length), literals]) };
  if (counts.filter((count) => count > 0).length === 1) return raw;
  const lengths = codeLengths(counts);
  const tree = describeTree(codeWeights(lengths));
  if (tree === undefined) return { ...raw, lengths };
  const streams = packStreams(literals, lengths);
  const jumpTable =
    streams.length === 1 ? [] : streams.slice(0, 3).flatMap(({ length }) => [length & 0xff, length >> 8]);
  const inner = concat([tree, Uint8Array.from(jumpTable), ...streams]);
  const bytes = concat([compressedHeader(streams.length, literals.length, inner.length), inner]);
  const tried = { counts, lengths, tree, streams };
  return bytes.length < raw.bytes.length ? { ...tried, form: "compressed", bytes } : { ...raw, ...tried };
}

/** How often each byte occurs. By index: iterating takes three times as long. */
export function histogramOf(bytes: Uint8Array): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i]]++;
  return counts;
}

/** The shortest header of Raw_Literals that holds the count. RFC 8878 3.1.1.3.1.1. */
function rawHeader(count: number): Uint8Array {
  if (count < 32) return Uint8Array.of(count << 3);
  if (count < 4096) return littleEndian((1 << 2) | (count << 4), 2);
  return littleEndian((3 << 2) | (count << 4), 3);
}

function compressedHeader(streams: number, count: number, bytes: number): Uint8Array {
  const largest = Math.max(count, bytes);
  const [format, width, headerBytes] =
    streams === 1 ? [0, 10, 3] : largest < 1024 ? [1, 10, 3] : largest < 16384 ? [2, 14, 4] : [3, 18, 5];
  // Up to 40 bits: sums of powers, since shifts end at 32.
  return littleEndian(2 + format * 4 + count * 16 + bytes * 2 ** (4 + width), headerBytes);
}

/** One stream below 256 literals, else four; each holds its last literal lowest. RFC 8878 4.2.2. */
function packStreams(literals: Uint8Array, lengths: Uint8Array): Uint8Array[] {
  const values = codeValues(lengths);
  if (literals.length < ONE_STREAM_BELOW) return [packStream(literals, lengths, values)];
  const segment = Math.ceil(literals.length / 4);
  return [0, 1, 2, 3].map((k) => packStream(literals.subarray(k * segment, (k + 1) * segment), lengths, values));
}

function packStream(literals: Uint8Array, lengths: Uint8Array, values: Uint16Array): Uint8Array {
  let bits = 0;
  for (let i = 0; i < literals.length; i++) bits += lengths[literals[i]];
  const out = new Uint8Array((bits >> 3) + 1);
  let at = 0;
  let word = 0;
  let count = 0;
  for (let i = literals.length - 1; i >= 0; i--) {
    word |= values[literals[i]] << count;
    count += lengths[literals[i]];
    while (count >= 8) {
      out[at++] = word;
      word >>>= 8;
      count -= 8;
    }
  }
  out[at] = word | (1 << count);
  return out;
}

export function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
