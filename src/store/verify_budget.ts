/**
 * How much of checking a store happens at once: lanes (a lane reads and decodes one window at a time) and bytes.
 * Nothing here waits: who gets nothing lets one of those end that have something.
 */
export class VerifyBudget {
  #lanes = 0;
  #bytes = 0;

  constructor(
    readonly lanes: number,
    readonly memoryBytes: number,
  ) {}

  /** Takes one lane and so many bytes, or nothing. */
  tryTake(bytes: number): boolean {
    if (this.#lanes >= this.lanes || this.#bytes + bytes > this.memoryBytes) return false;
    this.#lanes++;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#lanes--;
    this.#bytes -= bytes;
  }
}
