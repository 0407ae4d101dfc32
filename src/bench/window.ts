import { nowNs } from "../base/clock.js";
import { MillraceError } from "../index.js";

/** What a measurement must cover before it gives a number. */
export const WINDOW_RULE = {
  /**
   * Batches before the window, at least, and at least one for every slot: all pages touched, code compiled, files made.
   * They are drained before the window opens.
   */
  warmupBatchesMin: 2,
  /** Batches that are accepted inside the window, at least. */
  measuredBatchesMin: 4,
  /** Below this, starting and stopping are most of the window. */
  secondsMin: 0.25,
} as const;

interface WindowOptions {
  readonly batchBytes: number;
  /** Ends the window at the first batch boundary after so many seconds. */
  readonly seconds: number;
  /** Ends it after exactly so many batches instead, however long they take. */
  readonly batches?: number;
}

/** A window that covered enough. Times include the final drain; bytes are those accepted inside the window. */
interface WindowResult {
  readonly bytes: number;
  readonly batches: number;
  readonly ns: number;
  /** From the last append's return to the end: what was accepted but still under way, and closing. */
  readonly drainNs: number;
}

/**
 * The measuring window of one run: opened after warm-up at a batch boundary with nothing in flight, closed when
 * everything accepted inside is delivered and the store is closed. Keeps time and counts; it starts nothing.
 */
export class Window {
  readonly #options: WindowOptions;
  readonly #fromNs: number = nowNs();
  #batches = 0;
  #acceptedNs = 0;

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Call when a whole batch was accepted. Returns whether to go on. */
  batchAccepted(): boolean {
    this.#batches++;
    this.#acceptedNs = nowNs();
    const { batches, seconds } = this.#options;
    if (batches !== undefined) return this.#batches < batches;
    return this.#acceptedNs - this.#fromNs < seconds * 1e9;
  }

  /**
   * Call when all is delivered and closed.
   * @throws MillraceError INSUFFICIENT_COVERAGE when too few batches, or too little time, lie in the window
   */
  close(): WindowResult {
    const ns = nowNs() - this.#fromNs;
    const { batchBytes } = this.#options;
    this.#checkCoverage(ns);
    return { bytes: this.#batches * batchBytes, batches: this.#batches, ns, drainNs: nowNs() - this.#acceptedNs };
  }

  #checkCoverage(ns: number): void {
    const { measuredBatchesMin, secondsMin } = WINDOW_RULE;
    const { batchBytes } = this.#options;
    const batches = this.#batches;
    const seconds = ns / 1e9;
    if (batches >= measuredBatchesMin && seconds >= secondsMin) return;
    const needed = Math.max(secondsMin / seconds, measuredBatchesMin / batches) * 1.5;
    const hint =
      this.#options.batches === undefined
        ? `Use --seconds ${Math.ceil(seconds * needed)}.`
        : `Use --batches ${Math.ceil(batches * needed)}.`;
    throw new MillraceError(
      "INSUFFICIENT_COVERAGE",
      `${batches} batches of ${batchBytes} bytes in ${seconds.toFixed(2)} s are too few for a figure; ` +
        `it takes ${measuredBatchesMin} batches and ${secondsMin} s.`,
      { context: { batches, seconds, batchBytes }, hint },
    );
  }
}
