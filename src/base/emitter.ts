/**
 * Typed events without Node: the names and payloads are the type parameter. A listener that throws stops neither the others nor who
 * emits, and its error surfaces as an uncaught one, as from any callback.
 */
export class Emitter<Events extends Record<string, unknown>> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();

  /** Adds a listener, once however often it is added; it is called on the thread of who emits. Returns the emitter. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): this {
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
    this.#listeners.get(name)?.delete(listener);
    return this;
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
