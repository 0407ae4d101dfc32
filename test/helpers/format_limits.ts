/**
 * Blocks that stand at the limits of the format, on both sides of each: where one more literal, sequence or byte of a
 * length changes how the block is written (docs/encoder.md §4 and §6; RFC 8878, 3.1.1.3). The corpus meets most of them
 * by chance, and an encoder that draws a limit one too low writes other bytes for that one number only.
 */
import { analyzeBlock, type BlockAnalysis } from "../../src/codec/encoder/index.js";
import { framePeriod } from "../../src/codec/encoder/sample.js";
import { random32 } from "./encoder_corpus.js";

/** A whole block of elements of one byte, whose runs repeat one byte: the period is 1. */
export interface LimitBlock {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

interface Piece {
  readonly literals: number;
  readonly matchLength: number;
}

export const LIMIT_BLOCK_BYTES = 32768;

/**
 * Literals, a run, literals, a run …; the last run takes what is left of the block, so that it is one sequence more.
 * @param symbols values that literals have: few compress, 256 do not
 */
function blockOf(pieces: readonly Piece[], symbols: number): Uint8Array<ArrayBuffer> {
  const next = random32(symbols + 31 * pieces.length);
  const bytes = new Uint8Array(LIMIT_BLOCK_BYTES);
  let at = 0;
  let last = -1;
  for (const { literals, matchLength } of pieces) {
    for (let k = 0; k < literals; k++) {
      // Never the byte before: it would be a run of its own.
      last = (last + 1 + (next() % (symbols - 1))) % symbols;
      bytes[at++] = last;
    }
    const end = matchLength === Number.POSITIVE_INFINITY ? bytes.length : at + matchLength;
    if (end > bytes.length) throw new RangeError("the pieces do not fit into a block");
    bytes.fill(last, at, end);
    at = end;
  }
  if (at !== bytes.length) throw new RangeError("the last run ends the block");
  return bytes;
}

const rest: Piece = { literals: 2, matchLength: Number.POSITIVE_INFINITY };

/** As many pieces of that kind, then the one that fills the block. */
const repeated = (count: number, piece: Piece): Piece[] => [...Array.from({ length: count }, () => piece), rest];

/** The block, checked: a limit that a block does not stand at tests nothing. */
function limit(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  expected: Partial<{ literals: number; form: string; sequences: number }>,
): LimitBlock {
  const analysis: BlockAnalysis = analyzeBlock(bytes, 1);
  const taken = analysis.taken ?? [];
  const found = {
    literals: bytes.length - taken.reduce((sum, { length }) => sum + length, 0),
    form: analysis.literals?.form,
    sequences: taken.length,
  };
  for (const key of Object.keys(expected) as (keyof typeof found)[]) {
    if (found[key] !== expected[key]) throw new Error(`${name}: ${key} is ${found[key]}, not ${expected[key]}`);
  }
  if (framePeriod(bytes, 1) !== 1) throw new Error(`${name}: the period is ${framePeriod(bytes, 1)}`);
  if (analysis.type !== "compressed") throw new Error(`${name}: the block is ${analysis.type}`);
  return { name, bytes };
}

const around = (value: number): readonly number[] => [value - 1, value, value + 1];

/** First values of the codes with extra bits, RFC 8878, 3.1.1.3.2.1.1. */
const LITERALS_LENGTHS = [16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048];
const MATCH_LENGTHS = [35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051];

/** About a hundred blocks; always the same. */
export function limitBlocks(): readonly LimitBlock[] {
  const blocks: LimitBlock[] = [];
  // Sizes of the header of raw literals (31, 4,095); one stream or four (255); sizes of compressed literals (1,023,
  // 16,383).
  for (const [form, symbols, limits] of [
    ["raw", 256, [31, 4095]],
    ["compressed", 24, [255, 1023, 16383]],
  ] as const) {
    for (const literals of limits.flatMap(around)) {
      const bytes = blockOf([{ literals, matchLength: Number.POSITIVE_INFINITY }], symbols);
      blocks.push(limit(`${literals} ${form} literals`, bytes, { literals, form }));
    }
  }
  // Sequences: a table of their own (64), bytes of their number (128, and its high byte), more states a table.
  for (const sequences of [64, 128, 256, 512, 1024, 2048].flatMap(around)) {
    const bytes = blockOf(repeated(sequences - 1, { literals: 3, matchLength: 9 }), 24);
    blocks.push(limit(`${sequences} sequences`, bytes, { sequences }));
  }
  // Every code of a length, first and last value. Alone, so that a wrong code cannot hide; then all, so that there are
  // tables of many codes.
  const inFront = (literals: number, count: number) => {
    const bytes = blockOf(repeated(count, { literals, matchLength: 9 }), 24);
    const expected = { literals: count * literals + rest.literals, sequences: count + 1 };
    blocks.push(limit(`${literals} literals in front of a run`, bytes, expected));
  };
  const runsOf = (matchLength: number, count: number) => {
    const bytes = blockOf(repeated(count, { literals: 3, matchLength }), 24);
    blocks.push(limit(`a run of ${matchLength}`, bytes, { literals: 3 * count + 2, sequences: count + 1 }));
  };
  for (const first of LITERALS_LENGTHS) for (const literals of [first - 1, first]) inFront(literals, 4);
  for (const first of MATCH_LENGTHS) for (const length of [first - 1, first]) runsOf(length, 4);
  for (const first of [8192, 16384]) for (const literals of [first - 1, first]) inFront(literals, 1);
  for (const first of [8195, 16387]) for (const length of [first - 1, first]) runsOf(length, 1);
  const lengths = [1, 2, ...LITERALS_LENGTHS.filter((first) => first <= 512)];
  const mixed = lengths.flatMap((literals, i) => {
    const matchLength = MATCH_LENGTHS[i % 12] as number;
    return [
      { literals, matchLength },
      { literals: literals + 1, matchLength: matchLength - 1 },
      { literals: 1 + (i % 5), matchLength: 9 + i },
    ];
  });
  blocks.push(limit("lengths of every code", blockOf([...mixed, rest], 24), {}));
  return blocks;
}
