import type { Writable } from "node:stream";

/**
 * Ctrl-C of the commands that write: the first SIGINT asks for a clean close (the store is valid, exit code 130), the
 * second aborts, and a third finds Node's default handler, which ends the process at once.
 */
export class Interrupts implements Disposable {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #stderr: Writable;
  readonly #ending: string;

  /** @param ending what the first signal makes the command do, for people */
  constructor(stderr: Writable, ending = "closing the store; Ctrl-C again to abort") {
    this.#stderr = stderr;
    this.#ending = ending;
    process.on("SIGINT", this.#onSignal);
    process.on("SIGTERM", this.#onSignal);
  }

  /** Aborted at the first signal: stop reading and close. */
  get closing(): AbortSignal {
    return this.#soft.signal;
  }

  /** Aborted at the second signal. */
  get aborting(): AbortSignal {
    return this.#hard.signal;
  }

  readonly #onSignal = (): void => {
    if (!this.#soft.signal.aborted) {
      this.#stderr.write(`\nmillrace: ${this.#ending}\n`);
      this.#soft.abort();
    } else {
      this.#stderr.write("\nmillrace: aborting\n");
      this[Symbol.dispose]();
      this.#hard.abort();
    }
  };

  /** Gives the signals back to Node. Idempotent. */
  [Symbol.dispose](): void {
    process.off("SIGINT", this.#onSignal);
    process.off("SIGTERM", this.#onSignal);
  }
}
