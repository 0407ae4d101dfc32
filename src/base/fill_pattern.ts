/** Repeats `pattern` over `target`, whose length is a multiple of the pattern's. */
export function fillPattern(target: Uint8Array, pattern: Uint8Array): void {
  if (pattern.every((byte) => byte === pattern[0])) {
    target.fill(pattern[0]);
    return;
  }
  target.set(pattern.subarray(0, Math.min(pattern.length, target.length)));
  for (let done = pattern.length; done < target.length; done *= 2) {
    target.copyWithin(done, 0, Math.min(done, target.length - done));
  }
}
