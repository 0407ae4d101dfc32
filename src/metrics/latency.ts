import { nowNs } from "../base/clock.js";
import { Histogram } from "./histogram.js";

/**
 * Append latency. Reading the clock twice costs about as much as copying 512 bytes, so of the appends that need not
 * wait only one in {@link SAMPLE_EVERY} is timed; an append that waits is timed always, and the maximum covers both
 * kinds. Percentiles come from the evenly taken sample alone, which waiting appends do not distort. Thirteen, so that
 * the sample does not fall into step with the number of appends in a batch.
 */
export const SAMPLE_EVERY = 13;

/** Time that `append` took, nanoseconds. */
export interface LatencySnapshot {
  /** Appends made, and how many of them were timed. */
  readonly count: number;
  /** Appends that were timed. */
  readonly sampled: number;
  /** Nanoseconds; 0 when nothing was timed. */
  readonly p50: number;
  /** 99th percentile of the sample. */
  readonly p99: number;
  /** 99.9th percentile of the sample. */
  readonly p999: number;
  /** Longest append, those that waited included. */
  readonly max: number;
}

export class AppendLatency {
  /** Up to an hour. */
  readonly #histogram = new Histogram(3_600_000_000_000);
  #count = 0;
  #maxNs = 0;

  /** Starts one append. Returns the start time when this one is in the sample, else 0. */
  begin(): number {
    return this.#count++ % SAMPLE_EVERY === 0 ? nowNs() : 0;
  }

  /** Ends an append that `begin` timed. */
  end(startNs: number): void {
    const ns = Math.max(1, Math.round(nowNs() - startNs));
    this.#histogram.record(ns);
    if (ns > this.#maxNs) this.#maxNs = ns;
  }

  /** An append outside the sample had to wait: it only moves the maximum. */
  waited(ns: number): void {
    if (ns > this.#maxNs) this.#maxNs = Math.round(ns);
  }

  snapshot(): LatencySnapshot {
    const sampled = this.#histogram.count;
    const at = (percentile: number): number => this.#histogram.percentile(percentile);
    return { count: this.#count, sampled, p50: at(50), p99: at(99), p999: at(99.9), max: this.#maxNs };
  }
}
