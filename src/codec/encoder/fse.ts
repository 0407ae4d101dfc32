import { BitWriter } from "./bit_writer.js";

const log2Of = (value: number): number => 31 - Math.clz32(value);

/** lg(p) of docs/encoder.md §6: 256 · log2(p) by integers alone. 1 ≤ p ≤ 512. */
export function log2In256(p: number): number {
  const e = log2Of(p);
  let x = p << (15 - e);
  let bits = 0;
  for (let i = 0; i < 8; i++) {
    // Below 2^32, so exact as a double; shifts would be signed.
    x = Math.floor((x * x) / 32768);
    bits <<= 1;
    if (x >= 65536) {
      bits |= 1;
      x = Math.floor(x / 2);
    }
  }
  return 256 * e + bits;
}

/** §7.1: what of 2^log cells each symbol gets, up to and including the last that occurs. */
export function probabilitiesOf(counts: readonly number[], log: number): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  const size = 2 ** log;
  const floors = counts.map((count) => Math.floor((count * size) / total));
  const rests = counts.map((count, s) => (floors[s] === 0 ? -1 : (count * size) % total));
  const probabilities = counts.map((count, s) => (count === 0 ? 0 : Math.max(1, floors[s])));
  let left = size - probabilities.reduce((a, b) => a + b, 0);
  for (; left > 0; left--) {
    const s = indexOfGreatest(rests);
    probabilities[s]++;
    rests[s] = -1;
  }
  for (; left < 0; left++) probabilities[indexOfGreatest(probabilities)]--;
  while (probabilities.at(-1) === 0) probabilities.pop();
  return probabilities;
}

/** On a tie the smallest index. */
function indexOfGreatest(values: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** §7.2, RFC 8878 4.1.1: the table description. */
export function describeTable(probabilities: readonly number[], log: number): Uint8Array {
  const out = new BitWriter();
  out.put(log - 5, 4);
  let remaining = 2 ** log;
  for (let s = 0; remaining > 0; ) {
    const most = remaining + 1;
    const bits = log2Of(most) + 1;
    const half = 1 << (bits - 1);
    const threshold = (1 << bits) - 1 - most;
    const value = probabilities[s] + 1;
    if (value < threshold) out.put(value, bits - 1);
    else out.put(value < half ? value : value + threshold, bits);
    remaining -= probabilities[s];
    if (probabilities[s++] !== 0) continue;
    let zeros = 0;
    while (probabilities[s] === 0) {
      zeros++;
      s++;
    }
    for (; zeros >= 3; zeros -= 3) out.put(3, 2);
    out.put(zeros, 2);
  }
  return out.bytes();
}

/** One state of a table, as a decoder sees it. */
interface FseState {
  readonly symbol: number;
  readonly bits: number;
  readonly baseline: number;
}

/** §7.3: the states; a probability of −1 is one cell at the end. */
export function fseStates(probabilities: readonly number[], log: number): FseState[] {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  let top = size;
  probabilities.forEach((p, s) => {
    if (p === -1) symbols[--top] = s;
  });
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  probabilities.forEach((p, s) => {
    for (let k = 0; k < p; k++) {
      symbols[at] = s;
      do at = (at + step) & (size - 1);
      while (at >= top);
    }
  });
  const next = probabilities.map((p) => Math.abs(p));
  return Array.from(symbols, (symbol) => {
    const n = next[symbol]++;
    const bits = log - log2Of(n);
    return { symbol, bits, baseline: (n << bits) - size };
  });
}

/** A state that symbols are put into, §7.4; from the last symbol to the first. */
export class FseEncoderState {
  readonly #log: number;
  readonly #states: readonly FseState[];
  /** Per symbol, by the state afterwards: the state that leads there. */
  readonly #before: ReadonlyMap<number, Uint16Array>;
  #state: number | undefined;

  constructor(probabilities: readonly number[], log: number) {
    this.#log = log;
    this.#states = fseStates(probabilities, log);
    const before = new Map<number, Uint16Array>();
    this.#states.forEach(({ symbol, bits, baseline }, x) => {
      const own = before.get(symbol) ?? new Uint16Array(2 ** log);
      before.set(symbol, own.fill(x, baseline, baseline + 2 ** bits));
    });
    this.#before = before;
  }

  /** The first symbol sets the state and writes nothing. */
  put(symbol: number, out: BitWriter): void {
    if (this.#state === undefined) {
      this.#state = this.#states.findIndex((state) => state.symbol === symbol);
      return;
    }
    const x = (this.#before.get(symbol) as Uint16Array)[this.#state];
    const { bits, baseline } = this.#states[x];
    out.put(this.#state - baseline, bits);
    this.#state = x;
  }

  flush(out: BitWriter): void {
    out.put(this.#state as number, this.#log);
  }
}
