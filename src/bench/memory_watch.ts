import { now } from "../base/clock.js";

/** Resident memory of the process, bytes. */
export interface MemoryUse {
  /** What `estimateMemory` promised. */
  readonly estimateBytes: number;
  /** Before the writer was opened: Node, modules, the prefilled input. */
  readonly baselineBytes: number;
  /** After it was opened: threads and touched slots. */
  readonly openedBytes: number;
  /** Highest value seen while streaming: the kernel's own peak where it lies in the run, else the highest sample. */
  readonly peakBytes: number;
  /** At the last sample. */
  readonly lastBytes: number;
  /** (peak − baseline) / estimate. */
  readonly peakOverEstimate: number;
}

const SAMPLE_INTERVAL_MS = 20;

/** Watches resident memory around one writer. Make it right before the writer is opened. */
export class MemoryWatch {
  readonly #estimateBytes: number;
  readonly #baselineBytes = process.memoryUsage.rss();
  readonly #peakBefore = kernelPeakBytes();
  #openedBytes = 0;
  #peakBytes = 0;
  #lastBytes = 0;
  #sampledMs = 0;

  constructor(estimateBytes: number) {
    this.#estimateBytes = estimateBytes;
  }

  opened(): void {
    this.#openedBytes = process.memoryUsage.rss();
    this.#note(this.#openedBytes);
  }

  /** Cheap: looks at most fifty times a second. */
  sample(): void {
    if (now() - this.#sampledMs < SAMPLE_INTERVAL_MS) return;
    this.#sampledMs = now();
    this.#note(process.memoryUsage.rss());
  }

  result(): MemoryUse {
    this.#note(process.memoryUsage.rss());
    const kernelPeak = kernelPeakBytes();
    if (kernelPeak > this.#peakBefore) this.#peakBytes = Math.max(this.#peakBytes, kernelPeak);
    return {
      estimateBytes: this.#estimateBytes,
      baselineBytes: this.#baselineBytes,
      openedBytes: this.#openedBytes,
      peakBytes: this.#peakBytes,
      lastBytes: this.#lastBytes,
      peakOverEstimate: (this.#peakBytes - this.#baselineBytes) / this.#estimateBytes,
    };
  }

  #note(bytes: number): void {
    this.#lastBytes = bytes;
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }
}

/** maxRSS is in kibibytes on every system. */
function kernelPeakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
