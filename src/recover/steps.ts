import type { RecoverOptions, RecoverProgress } from "./report.js";

/** What all steps of a recovery share: the caller's options, and how far each step is. */
export class Steps {
  readonly dryRun: boolean;
  readonly discardDamaged: boolean;
  readonly signal: AbortSignal | undefined;
  /** Sentences for the report. */
  readonly notes: string[] = [];
  readonly #onProgress: ((progress: RecoverProgress) => void) | undefined;
  readonly #counts = new Map<RecoverProgress["step"], number>();

  constructor({ dryRun = false, discardDamaged = false, signal, onProgress }: RecoverOptions) {
    this.dryRun = dryRun;
    this.discardDamaged = discardDamaged;
    this.signal = signal;
    this.#onProgress = onProgress;
  }

  /** `more` are done, or in a dry run would be. Then is the time to stop. @throws the signal's reason */
  did(step: RecoverProgress["step"], more = 1): void {
    const count = this.count(step) + more;
    this.#counts.set(step, count);
    this.#onProgress?.({ step, count });
    this.signal?.throwIfAborted();
  }

  count(step: RecoverProgress["step"]): number {
    return this.#counts.get(step) ?? 0;
  }
}
