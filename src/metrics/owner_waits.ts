import { nowNs } from "../base/clock.js";
import type { CountedRule, WaitOwner } from "./counted_rules.js";
import type { Counters } from "./counters.js";

/** A wait that has begun. */
export interface OpenWait {
  readonly rule: CountedRule;
  readonly sinceNs: number;
}

/**
 * The waits of one owner, for metrics: those that go on, in shared memory with the time since when, and those that are
 * over, added up. A few words are written a batch, and none for a call that need not wait. Observes only. One instance
 * an owner: nobody else writes its words.
 */
export class OwnerWaits {
  readonly #counters: Counters;
  readonly #owner: WaitOwner;
  /**
   * Several waits may go on under one rule (a batch of each output slot); the oldest is shown. In order of their
   * beginning.
   */
  readonly #open = new Map<CountedRule, OpenWait[]>();

  constructor(counters: Counters, owner: WaitOwner) {
    this.#counters = counters;
    this.#owner = owner;
  }

  begin(rule: CountedRule): OpenWait {
    // Never 0, which means that nobody waits.
    const wait = { rule, sinceNs: Math.max(1, nowNs()) };
    const open = this.#open.get(rule);
    if (open === undefined) this.#open.set(rule, [wait]);
    else open.push(wait);
    if (open === undefined || open.length === 1) this.#counters.setWaitingSince(this.#owner, rule, wait.sinceNs);
    return wait;
  }

  /** Ends the wait; `counted` adds its time to the sum of its rule. A wait ends once. */
  end(wait: OpenWait, counted: boolean): void {
    const { rule, sinceNs } = wait;
    const open = this.#open.get(rule) as OpenWait[];
    const index = open.indexOf(wait);
    open.splice(index, 1);
    if (index === 0) this.#counters.setWaitingSince(this.#owner, rule, open[0]?.sinceNs ?? 0);
    if (counted) this.#counters.addWait(rule, nowNs() - sinceNs);
  }
}
