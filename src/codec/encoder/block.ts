import { histogramOf, type LiteralsSection, literalsSection } from "./literals_section.js";
import { equalRuns, literalCosts, literalsOf, type Run, takenRuns } from "./runs.js";
import { sampleFlatness } from "./sample.js";
import { type SequencesSection, sequencesSection } from "./sequences_section.js";

const FLAT_BYTES_MIN = 16384;

export type BlockType = "raw" | "rle" | "compressed";

/**
 * A block with every intermediate, in the order in which docs/encoder.md §3 makes them; what was never reached is
 * undefined.
 */
export interface BlockAnalysis {
  readonly type: BlockType;
  readonly equalCount: number;
  readonly flatness?: { readonly squares: number; readonly limit: number };
  readonly histogram?: Uint32Array;
  readonly literalCosts?: Uint8Array;
  readonly runs: readonly Run[];
  readonly taken?: readonly Run[];
  readonly literals?: LiteralsSection;
  readonly sequences?: SequencesSection;
  /** What follows the block's header. */
  readonly payload: Uint8Array;
}

/**
 * Decides how a block is written and writes its payload.
 * @param block 1 … 32,768 bytes
 * @param period distance at which bytes repeat, from 1
 */
export function analyzeBlock(block: Uint8Array, period: number): BlockAnalysis {
  const { runs, equalCount } = equalRuns(block, period);
  if (block.length >= 2 && block.every((byte) => byte === block[0])) {
    return { type: "rle", runs, equalCount, payload: block.slice(0, 1) };
  }
  const flatness =
    block.length >= FLAT_BYTES_MIN && 64 * equalCount <= block.length ? sampleFlatness(block) : undefined;
  if (flatness !== undefined && flatness.squares <= flatness.limit) {
    return { type: "raw", runs, equalCount, flatness, payload: block };
  }
  const histogram = histogramOf(block);
  const costs = literalCosts(histogram, block.length);
  const taken = takenRuns(block, runs, costs);
  const literals = literalsSection(literalsOf(block, taken));
  const sequences = sequencesSection(taken, period);
  const analysis = { equalCount, flatness, histogram, literalCosts: costs, runs, taken, literals, sequences };
  if (literals.bytes.length + sequences.bytes.length >= block.length) {
    return { ...analysis, type: "raw", payload: block };
  }
  const payload = new Uint8Array(literals.bytes.length + sequences.bytes.length);
  payload.set(literals.bytes);
  payload.set(sequences.bytes, literals.bytes.length);
  return { ...analysis, type: "compressed", payload };
}
