import { nowNs } from "../base/clock.js";
import { turnOfEventLoop } from "../base/event_loop.js";

const RESOLVED = Promise.resolve();

/** How long a loop of calls that need not wait may keep the event loop. */
const TURN_NS = 20e6;

/** The clock is read after that many bytes: copying them takes far longer than reading it. */
const LOOK_BYTES = 4 * 2 ** 20;

/**
 * Gives the event loop a turn about every 20 ms. A call that finds a free slot resolves at once, and a loop of those
 * never leaves the microtask queue by itself: no error event, no abort, no Ctrl-C would be heard in it. The first look
 * sets a mark that the loop's next turn takes away; a later look that still finds it after 20 ms waits for it. So a
 * program whose loop turns anyway waits for nothing.
 */
export class EventLoopTurns {
  /** The loop's next turn; undefined: it has turned since the last look. */
  #turn: Promise<void> | undefined;
  #sinceNs = 0;
  #bytes = 0;

  /** After a call that took `bytes` bytes. `clockNs` is the clock where it was read anyway, else 0. */
  after(bytes: number, clockNs: number): Promise<void> {
    this.#bytes += bytes;
    if (clockNs === 0 && this.#bytes < LOOK_BYTES) return RESOLVED;
    return this.look(clockNs === 0 ? nowNs() : clockNs);
  }

  /** The same after a call that takes longer than reading the clock. */
  look(clockNs = nowNs()): Promise<void> {
    this.#bytes = 0;
    if (this.#turn === undefined) {
      this.#sinceNs = clockNs;
      this.#turn = turnOfEventLoop().then(() => {
        this.#turn = undefined;
      });
      return RESOLVED;
    }
    return clockNs - this.#sinceNs < TURN_NS ? RESOLVED : this.#turn;
  }
}
