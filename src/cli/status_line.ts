import { nowNs } from "../base/clock.js";
import type { CliIo } from "./io.js";

const REFRESH_NS = 200e6;
/** ANSI: go to the first column and clear the line. */
const CLEAR_LINE = "\r\u001b[K";

/** One line on a terminal's stderr that is written over and over; silent where stderr is no terminal. */
export class StatusLine {
  readonly #stderr: CliIo["stderr"];
  readonly #shown: boolean;
  #lastNs = Number.NEGATIVE_INFINITY;

  constructor(stderr: CliIo["stderr"], wanted = true) {
    this.#stderr = stderr;
    this.#shown = wanted && stderr.isTTY === true;
  }

  /** `text` is asked for at most five times a second. */
  update(text: () => string): void {
    if (!this.#shown || nowNs() - this.#lastNs < REFRESH_NS) return;
    this.#lastNs = nowNs();
    this.#stderr.write(CLEAR_LINE + text());
  }

  /** Takes the line away. Idempotent. */
  clear(): void {
    if (this.#shown) this.#stderr.write(CLEAR_LINE);
  }
}
