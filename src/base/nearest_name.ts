/**
 * The known name a caller most likely meant, or undefined when none is close: at most a third of its letters differ.
 * Case does not count. Ties go to the name listed first.
 */
export function nearestName(given: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const name of known) {
    const allowed = Math.max(1, Math.floor(Math.max(name.length, given.length) / 3));
    // Two strings differ by at least their difference in length: spares the table for hopeless pairs and huge inputs.
    if (Math.abs(name.length - given.length) > allowed) continue;
    const distance = editDistance(given.toLowerCase(), name.toLowerCase());
    if (distance <= allowed && distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** A hint sentence for an unknown name: the near miss if there is one, else every known name. */
export function nameHint(given: string, known: readonly string[]): string {
  const near = nearestName(given, known);
  return near === undefined ? `Known: ${known.join(", ")}.` : `Did you mean ${JSON.stringify(near)}?`;
}

/** Levenshtein distance over UTF-16 units. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
