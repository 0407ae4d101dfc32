/**
 * Turns of generations, from 1, one after the other: the turn of one comes when every one before it is done. Work that
 * has no generation of its own can be put between two of them. Delivery's thread.
 */
export class TurnQueue {
  #turn = 1;
  readonly #waiting = new Map<number, (() => void)[]>();
  /** What runs before the turn of a generation, behind everything that is older. */
  readonly #between = new Map<number, Promise<void>>();

  /** Resolves when every older generation is done, and what was put before this one. */
  of(generation: number): Promise<void> {
    const reached = this.#reached(generation);
    // Looked up then: what is put there meanwhile comes first, too.
    return this.#between.has(generation) ? reached.then(() => this.#between.get(generation)) : reached;
  }

  /**
   * Runs `work` when every generation older than `generation` is done, behind work that was put there earlier; the turn
   * of `generation` comes after it. To be called before `of` is. `work` must not reject.
   */
  before(generation: number, work: () => Promise<void>): Promise<void> {
    const earlier = this.#between.get(generation) ?? this.#reached(generation);
    const done = earlier.then(work).finally(() => {
      if (this.#between.get(generation) === done) this.#between.delete(generation);
    });
    this.#between.set(generation, done);
    return done;
  }

  /** That generation is done, and with it every older one. */
  done(generation: number): void {
    if (generation < this.#turn) return;
    this.#turn = generation + 1;
    for (const [waited, waiters] of this.#waiting) {
      if (waited > this.#turn) continue;
      this.#waiting.delete(waited);
      for (const wake of waiters) wake();
    }
  }

  /** Nobody waits any more: all turns have come. */
  end(): void {
    this.done(Number.MAX_SAFE_INTEGER - 1);
  }

  #reached(generation: number): Promise<void> {
    if (this.#turn >= generation) return Promise.resolve();
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(generation);
      if (waiters === undefined) this.#waiting.set(generation, [resolve]);
      else waiters.push(resolve);
    });
  }
}
