import type { Writable } from "node:stream";

/**
 * What asks a command to end: Ctrl-C, a service manager, a terminal or a connection that is closed. Windows knows no
 * SIGTERM from outside, but Ctrl-Break, and gives a process whose window was closed (SIGHUP) some seconds.
 */
const SIGNALS: readonly NodeJS.Signals[] =
  process.platform === "win32" ? ["SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Calls `onSignal` for each signal that asks a command to end, until it is disposed; from then on one ends the process.
 */
export function onInterrupts(onSignal: () => void): Disposable {
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    },
  };
}

/**
 * Ctrl-C of the commands that write: the first SIGINT, SIGTERM or SIGHUP asks for a clean close (the store is valid,
 * exit code 130), the second aborts, whichever it is, and a third finds Node's default handler, which ends the process
 * at once.
 */
export class Interrupts implements Disposable {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #stderr: Writable;
  readonly #ending: string;
  readonly #signals: Disposable;

  /** @param ending what the first signal makes the command do, for people */
  constructor(stderr: Writable, ending = "closing the store; Ctrl-C again to abort") {
    this.#stderr = stderr;
    this.#ending = ending;
    this.#signals = onInterrupts(this.#onSignal);
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
    this.#signals[Symbol.dispose]();
  }
}
