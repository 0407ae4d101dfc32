/** Values below have a bucket each; above, values that share one differ by less than a thousandth. */
const FINE = 2048;
const HALF = FINE / 2;

/**
 * Counts whole numbers in buckets of one relative width, as an HDR histogram of three figures does. All memory is taken
 * at once and recording allocates nothing. Node's `createHistogram` gives the same numbers; browsers have none.
 */
export class Histogram {
  readonly #counts: Float64Array;
  readonly #highest: number;
  #count = 0;

  /** @param highest the largest value that is told apart; larger ones count as this one. Below 2^53. */
  constructor(highest: number) {
    this.#highest = highest;
    this.#counts = new Float64Array(bucketOf(highest) + 1);
  }

  get count(): number {
    return this.#count;
  }

  /** @param value a whole number from 1 */
  record(value: number): void {
    this.#counts[bucketOf(Math.min(value, this.#highest))]++;
    this.#count++;
  }

  /** The largest value of the bucket in which `percent` of the values are reached; 0 while there are none. */
  percentile(percent: number): number {
    if (this.#count === 0) return 0;
    let left = Math.max(1, Math.floor((percent / 100) * this.#count + 0.5));
    let bucket = 0;
    while (bucket < this.#counts.length - 1 && this.#counts[bucket] < left) left -= this.#counts[bucket++];
    return largestOf(bucket);
  }
}

/** The bits of `value` past the eleventh choose the width of its bucket. */
function bucketOf(value: number): number {
  if (value < FINE) return value;
  if (value < 2 ** 31) {
    const shift = 21 - Math.clz32(value);
    return shift * HALF + (value >> shift);
  }
  const shift = 53 - Math.clz32(value / 2 ** 32);
  return shift * HALF + Math.floor(value / 2 ** shift);
}

function largestOf(bucket: number): number {
  const shift = bucket < FINE ? 0 : Math.floor(bucket / HALF) - 1;
  return (bucket - shift * HALF + 1) * 2 ** shift - 1;
}
