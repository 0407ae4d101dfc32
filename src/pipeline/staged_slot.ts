import { deferred } from "../base/deferred.js";
import type { Slot } from "../slots/slot_ring.js";
import { marksBetween } from "../slots/whole_epochs.js";
import type { ToEngine } from "./messages.js";

/**
 * A staging slot on its way through the schedule. It is opened, may be kicked in parts as far as its epochs are whole,
 * is filled, and is free again when the last part was read. Engine's thread.
 */
export class StagedSlot {
  readonly slot: Slot;
  readonly firstEpoch: number;
  readonly rowFrom: number;
  /** Known once the slot is filled; 0 before. */
  epochCount = 0;
  rowTo: number;
  isFilled = false;
  readonly filled: Promise<void>;
  readonly #setFilled: () => void;
  #skippedEpochs: Uint8Array | undefined;
  /** Epochs that were kicked, from the first on. */
  taken = 0;
  /** Parts that the backend reads. */
  reading = 0;
  /** The last part was kicked, or is not going to be. */
  isSealed = false;
  /** Whole epochs have waited for as long as they may. */
  isDue = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ index, generation, firstEpoch, rowFrom }: Extract<ToEngine, { type: "opened" }>) {
    const filled = deferred();
    this.slot = { index, generation };
    this.firstEpoch = firstEpoch;
    this.rowFrom = this.rowTo = rowFrom;
    this.filled = filled.promise;
    this.#setFilled = filled.resolve;
  }

  fill({ epochCount, rowTo, skippedEpochs }: Extract<ToEngine, { type: "filled" }>): void {
    this.epochCount = epochCount;
    this.rowTo = rowTo;
    this.#skippedEpochs = skippedEpochs;
    this.isFilled = true;
    this.wake();
  }

  /** Nobody waits for it any more, neither for its last byte nor for its age. */
  wake(): void {
    clearTimeout(this.#timer);
    this.isDue = false;
    this.#setFilled();
  }

  /** It holds a whole epoch. The timer keeps no process alive. */
  startAge(ms: number, onDue: () => void): void {
    if (this.isFilled || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.isDue = true;
      onDue();
    }, ms);
    this.#timer.unref?.();
  }

  /** Marks of the epochs from `from` on, once it is filled. */
  skippedFrom(from: number): Uint8Array | undefined {
    const marks = this.#skippedEpochs;
    if (marks === undefined || from === 0) return marks;
    return marksBetween((epoch) => (marks[epoch >> 3] & (1 << (epoch & 7))) !== 0, from, this.epochCount);
  }
}
