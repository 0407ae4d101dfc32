/** Middle value and extremes of a few repetitions. A mean would let one disturbed round move the figure. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError for no values */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("spread of no values");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/**
 * Ratios of values measured in the same round. A disturbance that lasts longer than a round cancels out of them, which
 * it does not out of the ratio of two medians.
 */
export function ratios(values: readonly number[], references: readonly number[]): Spread {
  if (values.length !== references.length) throw new RangeError("ratios of lists of different length");
  return spread(values.map((value, i) => value / references[i]));
}

/** Processor time of this process since `from`, user and system, all threads. Seconds. */
export function cpuSecondsSince(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
}

/** GB/s, 10^9 bytes. */
export function gbPerSecond(bytes: number, ns: number): number {
  return bytes / ns;
}
