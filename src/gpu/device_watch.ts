/**
 * What a device is asked, and for how long that is waited for: until it answers, or until somebody gives it up because
 * it is lost or nobody wants the answer any more. A device that hangs answers nothing and is not lost either. Engine's
 * thread.
 */
export class DeviceWatch {
  readonly #device: GPUDevice;
  /** What stops being waited for when the device is given up. */
  readonly #underWay = new Set<(reason: unknown) => void>();
  /** What the device was asked and has not answered, whether or not anybody waits for it. */
  readonly #unanswered = new Set<Promise<unknown>>();
  #givenUp: { readonly reason: unknown } | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** @throws the first reason for which the device was given up */
  check(): void {
    if (this.#givenUp !== undefined) throw this.#givenUp.reason;
  }

  /** From here on nothing of the device is waited for; what waits rejects with `reason`. */
  giveUp(reason: unknown): void {
    this.#givenUp ??= { reason };
    for (const reject of this.#underWay) reject(reason);
  }

  /** Keeps an answer in mind until it comes. */
  asked<T>(answer: Promise<T>): Promise<T> {
    this.#unanswered.add(answer);
    const answered = (): void => void this.#unanswered.delete(answer);
    answer.then(answered, answered);
    return answer;
  }

  /** Waits for an answer, but no longer than until the device is given up. */
  wait<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject);
      answer.then(resolve, reject).finally(() => this.#underWay.delete(reject));
    });
  }

  /**
   * Runs `submit` and asks what the device has against it. Scopes belong to the device, which other streams use too:
   * they are closed whatever happens. A refused copy does not fail the map behind it, which then shows what an earlier
   * batch left there.
   */
  scoped<T>(submit: () => T): { readonly result: T; readonly accepted: Promise<void> } {
    this.#device.pushErrorScope("validation");
    this.#device.pushErrorScope("internal");
    this.#device.pushErrorScope("out-of-memory");
    try {
      const result = submit();
      const accepted = this.#endScopes();
      accepted.catch(() => {});
      return { result, accepted };
    } catch (error) {
      this.#endScopes().catch(() => {});
      throw error;
    }
  }

  async #endScopes(): Promise<void> {
    const scopes = [0, 1, 2].map(() => this.asked(this.#device.popErrorScope()));
    for (const error of await Promise.all(scopes)) if (error !== null) throw new Error(error.message);
  }

  /** Resolves when the device has answered all that it was asked, and after `limitMs` in any case. */
  async answered(limitMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.allSettled(this.#unanswered), limit]);
    clearTimeout(timer);
  }
}
