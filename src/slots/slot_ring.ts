import { assert } from "../base/assert.js";
import { MillraceError } from "../base/errors.js";
import { PIPELINE_DEPTH_MAX } from "../base/limits.js";
import type { Ordering, OrderingRule } from "./ordering.js";

/**
 * A ring of reusable buffers, shared between threads through a few words of shared memory.
 *
 *      acquire (generation g)          advance …                    release
 *   FREE ──────────────────► FILLING ───────────► FILLED ───► … ───► FREE
 *    ▲                                                                │
 *    └────────────────────────────────────────────────────────────────┘
 *
 * Generation g always lives in slot (g − 1) mod depth; generations start at 1 and are never reused, so a stale holder
 * is recognized. Acquiring is the only way to get a slot's memory, and it fails (or waits) unless the slot is FREE. One
 * thread acquires; the states in between belong to whoever holds the slot.
 */
const SLOT_STATES = ["FREE", "FILLING", "FILLED", "READING", "ENCODED", "DELIVERING"] as const;
type SlotState = (typeof SLOT_STATES)[number];

export interface Slot {
  readonly index: number;
  readonly generation: number;
}

/** Words of one slot in the shared control block: state, generation (low, high word). */
const WORDS_PER_SLOT = 3;

/** Bytes of shared memory that a ring of `depth` slots needs for its states. */
export function slotRingControlBytes(depth: number): number {
  return (WORDS_PER_SLOT * depth + 1) * 4;
}

export class SlotRing {
  readonly depth: number;
  readonly #words: Int32Array;
  readonly #order: Ordering;
  readonly #freeRule: OrderingRule;
  /** Generations handed out so far; meaningful on the acquiring thread only. */
  #lastGeneration = 0;

  /** `freeRule` is the rule under which this ring's slots become free again. */
  constructor(control: SharedArrayBuffer | ArrayBuffer, depth: number, order: Ordering, freeRule: OrderingRule) {
    assert(Number.isInteger(depth) && depth >= 1 && depth <= PIPELINE_DEPTH_MAX, "ring depth", { depth });
    assert(control.byteLength >= slotRingControlBytes(depth), "ring control block is large enough");
    this.depth = depth;
    this.#words = new Int32Array(control, 0, WORDS_PER_SLOT * depth + 1);
    this.#order = order;
    this.#freeRule = freeRule;
  }

  /** Slot and generation that the next acquire would hand out. Changes nothing. */
  peek(): Slot {
    const generation = this.#lastGeneration + 1;
    return { index: this.#lastGeneration % this.depth, generation };
  }

  /**
   * Hands out the next slot, or null while it is still in use. The caller owns its memory until it advances the state.
   */
  tryAcquire(): Slot | null {
    const next = this.peek();
    const word = next.index * WORDS_PER_SLOT;
    const free = Atomics.load(this.#words, word) === 0;
    if (!free && this.#order.enforced(this.#freeRule)) return null;
    this.#lastGeneration = next.generation;
    Atomics.store(this.#words, word + 1, next.generation | 0);
    Atomics.store(this.#words, word + 2, Math.floor(next.generation / 2 ** 32));
    Atomics.store(this.#words, word, 1);
    this.#setBusy();
    return next;
  }

  state(index: number): SlotState {
    return SLOT_STATES[Atomics.load(this.#words, index * WORDS_PER_SLOT)];
  }

  generation(index: number): number {
    const word = index * WORDS_PER_SLOT;
    return (Atomics.load(this.#words, word + 1) >>> 0) + Atomics.load(this.#words, word + 2) * 2 ** 32;
  }

  /** Moves a held slot on. `rule` names what a wrong state would break. */
  advance(slot: Slot, from: SlotState, to: SlotState, rule: OrderingRule): void {
    this.#requireHeld(slot, from, rule);
    Atomics.store(this.#words, slot.index * WORDS_PER_SLOT, SLOT_STATES.indexOf(to));
  }

  /** Gives a slot back. After this its memory may change at any moment. */
  release(slot: Slot, from: SlotState): void {
    this.#requireHeld(slot, from, this.#freeRule);
    Atomics.store(this.#words, slot.index * WORDS_PER_SLOT, 0);
    this.#setBusy();
  }

  /** Slots not FREE. Any thread; a snapshot. */
  busy(): number {
    let count = 0;
    for (let i = 0; i < this.depth; i++) if (Atomics.load(this.#words, i * WORDS_PER_SLOT) !== 0) count++;
    return count;
  }

  /** Most slots ever busy at once, seen at acquire and release. */
  busyPeak(): number {
    return Atomics.load(this.#words, this.depth * WORDS_PER_SLOT);
  }

  #setBusy(): void {
    const busy = this.busy();
    if (busy > this.busyPeak()) Atomics.store(this.#words, this.depth * WORDS_PER_SLOT, busy);
  }

  #requireHeld(slot: Slot, state: SlotState, rule: OrderingRule): void {
    // Always checked, not only in debug builds: two atomic loads a batch, and a wrong slot means wrong data on disk.
    const actual = this.state(slot.index);
    const generation = this.generation(slot.index);
    if (
      this.#order.enforced(this.#freeRule) &&
      this.#order.enforced(rule) &&
      (actual !== state || generation !== slot.generation)
    ) {
      throw new MillraceError(
        "ORDERING_VIOLATION",
        `${rule}: slot ${slot.index} is ${actual} in generation ${generation}, expected ${state} in ` +
          `${slot.generation}.`,
        { context: { rule, slot: slot.index, generation: slot.generation } },
      );
    }
  }
}
