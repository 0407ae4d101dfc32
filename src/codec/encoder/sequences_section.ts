import { BitWriter } from "./bit_writer.js";
import { describeTable, FseEncoderState, log2In256, probabilitiesOf } from "./fse.js";
import { concat } from "./literals_section.js";
import type { Run } from "./runs.js";

/** Extra bits of each code, RFC 8878 3.1.1.3.2.1.1; code c covers 2^bits values, one code after the other. */
const LITERALS_LENGTH_BITS = [
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];
const MATCH_LENGTH_BITS = [
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3,
  3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];
/** Default distributions, RFC 8878 3.1.1.3.2.2. */
export const LITERALS_LENGTH_DEFAULT = [
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
];
export const MATCH_LENGTH_DEFAULT = [
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
];
const MATCH_LENGTH_MIN = 3;
export const PREDEFINED_LOG = 6;
const FSE_SEQUENCES_MIN = 64;
const FSE_STREAM_BITS_MIN = 32;

interface Sequence {
  readonly literalsLength: number;
  readonly matchLength: number;
}

/** How one kind of code is written; docs/encoder.md §6. */
interface Coding {
  readonly mode: "predefined" | "rle" | "fse";
  /** In 1/256 bit. */
  readonly cost: number;
  readonly log: number;
  readonly probabilities: readonly number[];
  readonly description: Uint8Array;
}

/** The Sequences_Section with what it was made from. */
export interface SequencesSection {
  readonly sequences: readonly Sequence[];
  readonly literalsLength?: Coding;
  readonly matchLength?: Coding;
  readonly bytes: Uint8Array;
}

interface Code {
  readonly code: number;
  readonly extra: number;
  readonly bits: number;
}

/** For a value, its code, and the bits behind it. */
class CodeTable {
  readonly #bits: readonly number[];
  readonly #baselines: number[] = [];

  constructor(bits: readonly number[], first: number) {
    this.#bits = bits;
    let baseline = first;
    for (const count of bits) {
      this.#baselines.push(baseline);
      baseline += 2 ** count;
    }
  }

  of(value: number): Code {
    let code = this.#bits.length - 1;
    while (this.#baselines[code] > value) code--;
    return { code, extra: value - this.#baselines[code], bits: this.#bits[code] };
  }
}

const literalsLengthCodes = new CodeTable(LITERALS_LENGTH_BITS, 0);
const matchLengthCodes = new CodeTable(MATCH_LENGTH_BITS, MATCH_LENGTH_MIN);

/** docs/encoder.md §6. */
export function sequencesSection(taken: readonly Run[], period: number): SequencesSection {
  let end = 0;
  const sequences = taken.map(({ start, length }) => {
    const sequence = { literalsLength: start - end, matchLength: length };
    end = start + length;
    return sequence;
  });
  const count = sequences.length;
  if (count === 0) return { sequences, bytes: Uint8Array.of(0) };

  const ll = sequences.map((sequence) => literalsLengthCodes.of(sequence.literalsLength));
  const ml = sequences.map((sequence) => matchLengthCodes.of(sequence.matchLength));
  const llCoding = chooseCoding(ll, LITERALS_LENGTH_DEFAULT);
  const mlCoding = chooseCoding(ml, MATCH_LENGTH_DEFAULT);
  const offsetValue = period === 1 ? 1 : period + 3;
  const offsetCode = 31 - Math.clz32(offsetValue);
  const modes = { predefined: 0, rle: 1, fse: 2 };
  const header = [
    ...(count < 128 ? [count] : [(count >> 8) + 128, count & 0xff]),
    (modes[llCoding.mode] << 6) | (modes.rle << 4) | (modes[mlCoding.mode] << 2),
  ];

  const out = new BitWriter();
  const llState = stateOf(llCoding);
  const mlState = stateOf(mlCoding);
  for (let i = count - 1; i >= 0; i--) {
    mlState?.put(ml[i].code, out);
    llState?.put(ll[i].code, out);
    out.put(ll[i].extra, ll[i].bits);
    out.put(ml[i].extra, ml[i].bits);
    out.put(offsetValue - 2 ** offsetCode, offsetCode);
  }
  mlState?.flush(out);
  llState?.flush(out);
  const bytes = concat([
    Uint8Array.from(header),
    llCoding.description,
    Uint8Array.of(offsetCode),
    mlCoding.description,
    out.finish(),
  ]);
  return { sequences, literalsLength: llCoding, matchLength: mlCoding, bytes };
}

function stateOf({ mode, probabilities, log }: Coding): FseEncoderState | undefined {
  return mode === "rle" ? undefined : new FseEncoderState(probabilities, log);
}

/** The cheapest of the three modes; on equal cost the first. */
function chooseCoding(codes: readonly Code[], defaults: readonly number[]): Coding {
  const counts = defaults.map(() => 0);
  for (const { code } of codes) counts[code]++;
  const candidates: Coding[] = [
    {
      mode: "predefined",
      cost: 256 * PREDEFINED_LOG + streamCost(counts, defaults, PREDEFINED_LOG),
      log: PREDEFINED_LOG,
      probabilities: defaults,
      description: new Uint8Array(),
    },
  ];
  if (counts.filter((count) => count > 0).length === 1) {
    const description = Uint8Array.of(codes[0].code);
    candidates.push({ mode: "rle", cost: 256 * 8, log: 0, probabilities: [], description });
  } else if (codes.length >= FSE_SEQUENCES_MIN) {
    const log = Math.min(9, Math.max(6, 31 - Math.clz32(codes.length) - 2));
    const probabilities = probabilitiesOf(counts, log);
    const stream = streamCost(counts, probabilities, log);
    if (stream >= 256 * FSE_STREAM_BITS_MIN) {
      const description = describeTable(probabilities, log);
      const cost = 256 * (8 * description.length + log) + stream;
      candidates.push({ mode: "fse", cost, log, probabilities, description });
    }
  }
  return candidates.reduce((best, other) => (other.cost < best.cost ? other : best));
}

/** Σ h_c · (256 · A − lg(p_c)), in 1/256 bit; −1 counts as 1. */
function streamCost(counts: readonly number[], probabilities: readonly number[], log: number): number {
  let cost = 0;
  counts.forEach((count, code) => {
    if (count > 0) cost += count * (256 * log - log2In256(Math.max(1, probabilities[code])));
  });
  return cost;
}
