import { MillraceError } from "./errors.js";
import { nameHint } from "./nearest_name.js";
import { describeValue, invalidValue } from "./option_values.js";

/**
 * Typed events without Node: the names and payloads are the type parameter. A listener that throws stops neither the
 * others nor who emits, and its error surfaces as an uncaught one, as from any callback.
 */
export class Emitter<Events extends Record<string, unknown>> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();
  readonly #names: readonly (keyof Events & string)[];

  protected constructor(names: readonly (keyof Events & string)[]) {
    this.#names = names;
  }

  /**
   * Adds a listener, once however often it is added; it is called on the thread of who emits. Returns the emitter.
   * @throws MillraceError INVALID_OPTION for an event that does not exist, or a listener that is no function
   */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): this {
    this.#check(name, listener);
    let set = this.#listeners.get(name);
    if (set === undefined) {
      set = new Set();
      this.#listeners.set(name, set);
    }
    set.add(listener);
    return this;
  }

  /** Removes a listener; nothing happens where it is none. Returns the emitter. */
  off<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): this {
    this.#check(name, listener);
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  #check(name: unknown, listener: unknown): void {
    if (!this.#names.includes(name as keyof Events & string)) {
      throw new MillraceError("INVALID_OPTION", `There is no event ${describeValue(name)}.`, {
        context: { option: "event", given: describeValue(name) },
        hint: nameHint(typeof name === "string" ? name : "", this.#names),
      });
    }
    if (typeof listener !== "function") throw invalidValue("A listener", "listener", "a function", listener);
  }

  /** Calls the listeners in the order in which they were added. */
  protected emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (payload: Events[Name]) => void)(payload);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
