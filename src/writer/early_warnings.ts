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
