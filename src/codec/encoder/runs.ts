/** A maximal interval of equal positions, at least three long; docs/encoder.md §3.2. */
export interface Run {
  readonly start: number;
  readonly length: number;
}

const RUN_LENGTH_MIN = 3;
/** §3.4: estimated bits of a sequence, and what all of a block must save. */
const SEQUENCE_COST = 8;
const SAVING_MIN = 96;
const LITERAL_COST_MAX = 11;

/** All runs of a block, and the number of its equal positions. */
export function equalRuns(block: Uint8Array, period: number): { readonly runs: Run[]; readonly equalCount: number } {
  const runs: Run[] = [];
  let equalCount = 0;
  for (let i = period; i < block.length; ) {
    if (block[i] !== block[i - period]) {
      i++;
      continue;
    }
    const start = i;
    while (i < block.length && block[i] === block[i - period]) i++;
    equalCount += i - start;
    if (i - start >= RUN_LENGTH_MIN) runs.push({ start, length: i - start });
  }
  return { runs, equalCount };
}

/** est_s of §3.4 for each value, bits; 0 for values that do not occur. */
export function literalCosts(histogram: Uint32Array, bytes: number): Uint8Array {
  const costs = new Uint8Array(256);
  for (let s = 0; s < 256; s++) {
    if (histogram[s] === 0) continue;
    const q = Math.max(1, Math.floor((181 * bytes) / (128 * histogram[s])));
    costs[s] = Math.min(LITERAL_COST_MAX, Math.max(1, 31 - Math.clz32(q)));
  }
  return costs;
}

/** The runs that become sequences; none when they save too little together. */
export function takenRuns(block: Uint8Array, runs: readonly Run[], costs: Uint8Array): Run[] {
  let saving = 0;
  const taken = runs.filter(({ start, length }) => {
    const look = Math.min(length, SEQUENCE_COST);
    let worth = 0;
    for (let i = start; i < start + look; i++) worth += costs[block[i]];
    if (worth < SEQUENCE_COST) return false;
    saving += worth - SEQUENCE_COST + length - look;
    return true;
  });
  return saving < SAVING_MIN ? [] : taken;
}

/** The bytes outside of the runs taken. */
export function literalsOf(block: Uint8Array, taken: readonly Run[]): Uint8Array {
  const literals = new Uint8Array(block.length - taken.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  let at = 0;
  for (const { start, length } of [...taken, { start: block.length, length: 0 }]) {
    literals.set(block.subarray(from, start), at);
    at += start - from;
    from = start + length;
  }
  return literals;
}
