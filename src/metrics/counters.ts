import { type CountedRule, ORDERING_COUNTED_RULES, WAIT_OWNERS, type WaitOwner } from "./counted_rules.js";

/**
 * Counters of one writer in shared memory: any thread adds, any thread reads, nothing waits. Metrics observe; they
 * never order. 64-bit words, because bytes pass 2^32 within seconds. Added to once a batch or once a write, never once
 * an append.
 */
const NAMES = [
  // Watermarks, rows of the append dimension; accepted rows are the producer's own
  "rowsEncoded",
  "rowsDelivered",
  "rowsDurable",
  "rowsPublished",
  // Flags
  "failed",
  "engineOpened",
  "engineStopped",
  "deliveryStopped",
  "producerLeft",
  // Bytes
  "bytesStored",
  "sinkPendingBytes",
  "sinkPendingBytesPeak",
  // Counts
  "chunksCpu",
  "chunksGpu",
  "shardsSealed",
  // Stages: busy ns, times, bytes in, bytes out
  "encodeNs",
  "encodeCount",
  "encodeInBytes",
  "encodeOutBytes",
  "writeNs",
  "writeCount",
  "writeBytes",
  "sealNs",
  "sealCount",
  "sealBytes",
  "checksumNs",
  "checksumBytes",
  "journalNs",
  "journalCount",
  "journalBytes",
  "syncNs",
  "syncCount",
  "publishNs",
  "publishCount",
] as const;

export type CounterName = (typeof NAMES)[number];

const INDEX = Object.fromEntries(NAMES.map((name, i) => [name, i])) as Record<CounterName, number>;
const WAITS_FROM = NAMES.length;
const SINCE_FROM = WAITS_FROM + 2 * ORDERING_COUNTED_RULES.length;

export const COUNTERS_BYTES = (SINCE_FROM + WAIT_OWNERS.length * ORDERING_COUNTED_RULES.length) * 8;

export class Counters {
  readonly #words: BigInt64Array;
  /** Low half of the word "failed", little-endian. */
  readonly #failed: Int32Array;

  constructor(memory: SharedArrayBuffer | ArrayBuffer, byteOffset = 0) {
    this.#words = new BigInt64Array(memory, byteOffset, COUNTERS_BYTES / 8);
    this.#failed = new Int32Array(memory, byteOffset + INDEX.failed * 8, 1);
  }

  /** Some thread has failed. Every append asks, so it makes no BigInt. */
  get hasFailed(): boolean {
    return Atomics.load(this.#failed, 0) !== 0;
  }

  get(name: CounterName): number {
    return Number(Atomics.load(this.#words, INDEX[name]));
  }

  add(name: CounterName, amount: number): void {
    Atomics.add(this.#words, INDEX[name], BigInt(Math.round(amount)));
  }

  /** Raises a counter to `value`; never lowers it. One writer a counter, so a plain compare is enough. */
  raise(name: CounterName, value: number): void {
    if (value <= this.get(name)) return;
    Atomics.store(this.#words, INDEX[name], BigInt(value));
    if (name === "engineStopped") Atomics.notify(this.#words, INDEX[name]);
  }

  /**
   * Blocks this thread until the engine has stopped, or for `timeoutMs`. Returns whether it has. Only for the moment
   * the process ends: nothing else may block the caller's thread.
   */
  waitEngineStopped(timeoutMs: number): boolean {
    return Atomics.wait(this.#words, INDEX.engineStopped, 0n, timeoutMs) !== "timed-out";
  }

  /** Counts bytes as pending BEFORE they are handed over, so that a reader never sees fewer than there are. */
  addPending(bytes: number): void {
    const now = Atomics.add(this.#words, INDEX.sinkPendingBytes, BigInt(bytes)) + BigInt(bytes);
    if (now > Atomics.load(this.#words, INDEX.sinkPendingBytesPeak)) {
      Atomics.store(this.#words, INDEX.sinkPendingBytesPeak, now);
    }
  }

  retirePending(bytes: number): void {
    Atomics.sub(this.#words, INDEX.sinkPendingBytes, BigInt(bytes));
  }

  addWait(rule: CountedRule, ns: number): void {
    const at = WAITS_FROM + 2 * ORDERING_COUNTED_RULES.indexOf(rule);
    Atomics.add(this.#words, at, BigInt(Math.round(ns)));
    Atomics.add(this.#words, at + 1, 1n);
  }

  /** Since when `owner` waits under `rule`, as the clock's nowNs; 0: it does not. Written by that owner alone. */
  setWaitingSince(owner: WaitOwner, rule: CountedRule, sinceNs: number): void {
    Atomics.store(this.#words, sinceIndex(owner, rule), BigInt(Math.round(sinceNs)));
  }

  waitingSince(owner: WaitOwner, rule: CountedRule): number {
    return Number(Atomics.load(this.#words, sinceIndex(owner, rule)));
  }

  wait(rule: CountedRule): { ns: number; count: number } {
    const at = WAITS_FROM + 2 * ORDERING_COUNTED_RULES.indexOf(rule);
    return { ns: Number(Atomics.load(this.#words, at)), count: Number(Atomics.load(this.#words, at + 1)) };
  }
}

function sinceIndex(owner: WaitOwner, rule: CountedRule): number {
  return SINCE_FROM + WAIT_OWNERS.indexOf(owner) * ORDERING_COUNTED_RULES.length + ORDERING_COUNTED_RULES.indexOf(rule);
}
