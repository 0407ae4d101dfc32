import { appendAborted } from "./append_input.js";

/** A call that could not finish at once. */
export interface Work {
  /** Goes on as far as it can; true when it is done. Throws to fail. */
  step(): boolean;
  /** Bytes of it that were not accepted yet. */
  bytesLeft(): number;
  /** Once, when it is done. */
  onDone?(): void;
}

interface Operation {
  readonly work: Work;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Calls that wait for a free slot, served strictly in the order in which they were made. A call that fails leaves the
 * ones behind it in place.
 */
export class OperationQueue {
  readonly #operations: Operation[] = [];
  readonly #showWait: () => () => void;
  readonly #mayServe: () => boolean;
  /** Set while calls wait. */
  #endWait: (() => void) | undefined;

  /**
   * @param showWait a wait has begun; what it returns is called when it is over. One that got ahead and waits again is
   *   a new one
   * @param mayServe false: no call goes on, and all wait to be rejected
   */
  constructor(showWait: () => () => void, mayServe: () => boolean) {
    this.#showWait = showWait;
    this.#mayServe = mayServe;
  }

  get length(): number {
    return this.#operations.length;
  }

  /**
   * Adds a call and serves what can be served. The promise settles when the call is done, failed, or its signal
   * aborted.
   */
  add(work: Work, signal?: AbortSignal): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      const operation: Operation = { work, resolve, reject };
      if (signal !== undefined) {
        const onAbort = (): void => {
          const index = this.#operations.indexOf(operation);
          this.#operations.splice(index, 1);
          reject(appendAborted(signal, work.bytesLeft()));
          this.pump();
        };
        signal.addEventListener("abort", onAbort, { once: true });
        // A signal may live as long as the program: what is settled must not stay in its list.
        const release = (): void => signal.removeEventListener("abort", onAbort);
        operation.resolve = () => {
          release();
          resolve();
        };
        operation.reject = (error) => {
          release();
          reject(error);
        };
      }
      this.#operations.push(operation);
    });
    this.pump();
    return promise;
  }

  /** Serves from the front until one has to wait. */
  pump(): void {
    const head = this.#operations[0];
    const bytesLeft = head?.work.bytesLeft();
    this.#serve();
    this.#show(this.#operations[0] !== head || head?.work.bytesLeft() !== bytesLeft);
  }

  /** Fails every call that waits. */
  rejectAll(error: unknown): void {
    for (const operation of this.#operations.splice(0)) operation.reject(error);
    this.#show(true);
  }

  #serve(): void {
    while (this.#operations.length > 0 && this.#mayServe()) {
      const operation = this.#operations[0];
      try {
        if (!operation.work.step()) return;
      } catch (error) {
        this.#operations.shift();
        operation.reject(error);
        continue;
      }
      this.#operations.shift();
      operation.work.onDone?.();
      operation.resolve();
    }
  }

  /** A queue that is never empty is no stall while it gets ahead: then the wait begins anew. */
  #show(gotAhead: boolean): void {
    const waits = this.#operations.length > 0;
    if (waits && this.#endWait !== undefined && !gotAhead) return;
    this.#endWait?.();
    this.#endWait = waits ? this.#showWait() : undefined;
  }
}
