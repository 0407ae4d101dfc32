/** Longest code, bits: the most that RFC 8878 4.2.1 allows. */
export const CODE_BITS_MAX = 11;

/**
 * Code lengths by package-merge, with the tie rules of docs/encoder.md §5; 0 for values that do not occur. At least two
 * must.
 */
export function codeLengths(counts: Uint32Array): Uint8Array {
  const leaves = [...counts.keys()].filter((s) => counts[s] > 0).sort((a, b) => counts[a] - counts[b] || a - b);
  const weights = leaves.map((s) => counts[s]);
  let list = weights;
  /** Of each list, whether its items are leaves. */
  const isLeaf = [weights.map(() => true)];
  for (let round = 1; round < CODE_BITS_MAX; round++) {
    const merged: number[] = [];
    const flags: boolean[] = [];
    const packages = list.length >> 1;
    for (let leaf = 0, pair = 0; leaf < weights.length || pair < packages; ) {
      const sum = pair < packages ? list[2 * pair] + list[2 * pair + 1] : Number.POSITIVE_INFINITY;
      const takeLeaf = leaf < weights.length && weights[leaf] <= sum;
      merged.push(takeLeaf ? weights[leaf++] : sum);
      flags.push(takeLeaf);
      if (!takeLeaf) pair++;
    }
    list = merged;
    isLeaf.push(flags);
  }
  const lengths = new Uint8Array(256);
  let items = 2 * leaves.length - 2;
  for (let round = CODE_BITS_MAX - 1; round >= 0; round--) {
    let found = 0;
    for (let i = 0; i < items; i++) if (isLeaf[round][i]) found++;
    for (let i = 0; i < found; i++) lengths[leaves[i]]++;
    items = 2 * (items - found);
  }
  return lengths;
}

/** Weights of RFC 8878 4.2.1 from lengths, up to and including the greatest symbol that occurs. */
export function codeWeights(lengths: Uint8Array): Uint8Array {
  let last = 255;
  while (lengths[last] === 0) last--;
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  return lengths.slice(0, last + 1).map((length) => (length === 0 ? 0 : longest + 1 - length));
}

/** Canonical values, RFC 8878 4.2.1.3: from the longest codes to the shortest, inside a length by symbol. */
export function codeValues(lengths: Uint8Array): Uint16Array {
  const values = new Uint16Array(256);
  let value = 0;
  for (let length = CODE_BITS_MAX; length > 0; length--) {
    for (let s = 0; s < 256; s++) if (lengths[s] === length) values[s] = value++;
    value >>>= 1;
  }
  return values;
}
