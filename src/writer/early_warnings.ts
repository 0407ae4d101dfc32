import type { CheckedOptions } from "../options_check.js";
import { manyShardsWarning } from "../plan/many_shards.js";
import type { MemoryPlan } from "../plan/memory_plan.js";

/** What options and plan give reason to say before the first row. */
export function openingWarnings(plan: MemoryPlan, checked: CheckedOptions, sinkKind: string): readonly string[] {
  const manyShards = manyShardsWarning(checked.geometry, checked.codec, sinkKind);
  return manyShards === undefined ? plan.reductions : [...plan.reductions, manyShards];
}

/** Holds what is said while a writer opens, when nobody can listen to it yet. */
export class EarlyWarnings {
  #waiting: string[] | undefined = [];
  readonly #emit: (message: string) => void;

  constructor(emit: (message: string) => void) {
    this.#emit = emit;
  }

  say(...messages: readonly string[]): void {
    if (this.#waiting === undefined) for (const message of messages) this.#emit(message);
    else this.#waiting.push(...messages);
  }

  /** From here on everything is said at once. Idempotent. */
  release(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.say(...waiting);
  }
}
