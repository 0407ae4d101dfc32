const GROUP_BYTES = 64;

/** Where the sampled groups of 64 bytes begin: one in eight, staggered; docs/encoder.md §1 step 1. */
export function* sampledGroups(bytes: number): Generator<number> {
  const groups = Math.floor(bytes / GROUP_BYTES);
  for (let octet = 0; octet * 8 < groups; octet++) {
    const group = octet * 8 + ((5 * octet) & 7);
    if (group < groups) yield group * GROUP_BYTES;
  }
}

/** k* of §1: the distance, in elements, at which a frame's content repeats best, before it is shuffled; 1 … 4. */
export function framePeriod(content: Uint8Array, itemBytes: number): number {
  const equal = [0, 0, 0, 0, 0];
  let sampled = 0;
  for (const at of sampledGroups(content.length)) {
    sampled += GROUP_BYTES;
    for (let k = 1; k <= 4; k++) {
      const back = k * itemBytes;
      for (let j = Math.max(at, back); j < at + GROUP_BYTES; j++) if (content[j] === content[j - back]) equal[k]++;
    }
  }
  let best = 1;
  for (let k = 2; k <= 4; k++) if (equal[k] > equal[best]) best = k;
  return best !== 1 && equal[best] - equal[1] > Math.floor(equal[1] / 8) + Math.floor(sampled / 64) ? best : 1;
}

/** Σ h_s² of a block's sample, and what it may be for the block to be stored untried; §3.3. */
export function sampleFlatness(block: Uint8Array): { readonly squares: number; readonly limit: number } {
  const counts = new Uint32Array(256);
  let sampled = 0;
  for (const at of sampledGroups(block.length)) {
    sampled += GROUP_BYTES;
    for (let i = at; i < at + GROUP_BYTES; i++) counts[block[i]]++;
  }
  let squares = 0;
  for (const count of counts) squares += count * count;
  return { squares, limit: Math.floor((sampled * (sampled + 256 + Math.floor(sampled / 32))) / 256) };
}
