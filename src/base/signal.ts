/** Something that happens again and again, and that any number of callers wait for the next time of. */
export class Signal {
  #waiters: (() => void)[] = [];

  /** Resolves at the next {@link notify}. Check the condition before and after: a signal carries none. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  notify(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}
