/**
 * How far a delivery has come. Each of the three only goes forward: `phase` by its own end, `abort` by what the engine
 * asks, `failure` by the first thing that goes wrong. They are apart, since a stream can fail, be aborted and end in
 * any order.
 */
export class DeliveryState {
  #phase: "running" | "ending" | "stopped" = "running";
  #abort: "none" | "asked" | "hurried" = "none";
  #failure: "none" | "stopped by an abort" | "failed" | "disk full" = "none";

  /** Batches are written. Else they are only joined. */
  get writes(): boolean {
    return this.#failure === "none" && this.#abort === "none";
  }

  get hasFailed(): boolean {
    return this.#failure !== "none";
  }

  get isAborted(): boolean {
    return this.#abort !== "none";
  }

  /** Aborted, and nobody wants what is on its way: loops over shards end. */
  get isHurried(): boolean {
    return this.#abort === "hurried";
  }

  get isDiskFull(): boolean {
    return this.#failure === "disk full";
  }

  /** The last steps are on their way, or done. */
  get isEnding(): boolean {
    return this.#phase !== "running";
  }

  get isStopped(): boolean {
    return this.#phase === "stopped";
  }

  abort(hurry: boolean): void {
    if (hurry) this.#abort = "hurried";
    else if (this.#abort === "none") this.#abort = "asked";
  }

  /** False: the end has begun before. */
  beginEnd(): boolean {
    if (this.#phase !== "running") return false;
    this.#phase = "ending";
    return true;
  }

  stop(): void {
    this.#phase = "stopped";
  }

  /** An abort has cut work off: no failure to be told of, but nothing may follow. */
  cutOff(): void {
    if (this.#failure === "none") this.#failure = "stopped by an abort";
  }

  /** The first failure that is told. A later one changes nothing. */
  fail(isDiskFull: boolean): void {
    this.#failure = isDiskFull ? "disk full" : "failed";
  }
}
