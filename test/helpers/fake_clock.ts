import { type Clock, useClock } from "../../src/base/clock.js";

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs = 0;
  readonly #sleepers: { readonly wakeAtMs: number; readonly wake: () => void }[] = [];

  nowNs(): number {
    return this.#nowMs * 1e6;
  }
  wallMs(): number {
    return this.#nowMs;
  }
  get sleeperCount(): number {
    return this.#sleepers.length;
  }

  sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { wakeAtMs: this.#nowMs + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
        reject(signal.reason);
      });
    });
  }

  /** Moves on, from one sleeper's end to the next, letting each one act before time goes on. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    await settle();
    for (;;) {
      this.#sleepers.sort((a, b) => a.wakeAtMs - b.wakeAtMs);
      const first = this.#sleepers[0];
      // A nanosecond of slack: wake-up times are sums of fractions.
      if (first === undefined || first.wakeAtMs > end + 1e-6) break;
      this.#sleepers.shift();
      this.#nowMs = Math.max(this.#nowMs, first.wakeAtMs);
      first.wake();
      await settle();
    }
    this.#nowMs = end;
  }

  /** Installs it; returns what puts the old clock back. */
  install(): () => void {
    return useClock(this);
  }
}

/** Lets everything run that is not waiting for time or I/O. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
