import { assert } from "../base/assert.js";

/**
 * The memory and the connections that all shards of a sink share.
 *
 * A shard holds one buffer that fills; buffers that are full are on their way, `concurrency` of them at once, or wait
 * for that. There are never more than open shards + concurrency, so a link that is too slow makes `take` wait, and with
 * it the writer: that is the backpressure. It cannot lock up, because each open shard keeps one buffer at most that is
 * not on its way.
 */
export class PartPool {
  readonly #concurrency: number;
  #openShards = 0;
  #taken = 0;
  #sending = 0;
  /** Kept for the next part; all of one size, since the shards of a stream have one bound. */
  #free: Uint8Array[] = [];
  /** Called with a kept buffer, if there is one. */
  readonly #takers: ((kept: Uint8Array | undefined) => void)[] = [];
  readonly #senders: (() => void)[] = [];

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** A shard begins; `shardEnded` must follow. */
  shardBegun(): void {
    this.#openShards++;
    this.#wakeTakers();
  }

  shardEnded(): void {
    assert(this.#openShards > 0, "a shard that ends has begun");
    this.#openShards--;
    this.#trim();
  }

  /** A buffer of `bytes`, as soon as there is one. Its content is arbitrary. Give it back. */
  async take(bytes: number): Promise<Uint8Array> {
    let kept: Uint8Array | undefined;
    // While others wait nobody overtakes them: a shard that writes much would starve the rest.
    if (this.#taken >= this.#limit || this.#takers.length > 0) {
      kept = await new Promise<Uint8Array | undefined>((resolve) => this.#takers.push(resolve));
    } else {
      this.#taken++;
      kept = this.#free.pop();
    }
    return kept?.byteLength === bytes ? kept : new Uint8Array(bytes);
  }

  give(buffer: Uint8Array): void {
    assert(this.#taken > 0, "a buffer that is given back was taken");
    this.#taken--;
    this.#free.push(buffer);
    this.#wakeTakers();
    this.#trim();
  }

  /** Runs `send` when one of the connections is free. */
  async send<T>(send: () => Promise<T>): Promise<T> {
    if (this.#sending >= this.#concurrency) await new Promise<void>((resolve) => this.#senders.push(resolve));
    else this.#sending++;
    try {
      return await send();
    } finally {
      const next = this.#senders.shift();
      if (next === undefined) this.#sending--;
      else next();
    }
  }

  /** Lets the kept memory go. */
  clear(): void {
    this.#free = [];
  }

  get #limit(): number {
    return this.#openShards + this.#concurrency;
  }

  #wakeTakers(): void {
    while (this.#taken < this.#limit) {
      const next = this.#takers.shift();
      if (next === undefined) return;
      // Counted and handed over here: whoever asks before the woken one runs must find neither its place nor its buffer
      // free.
      this.#taken++;
      next(this.#free.pop());
    }
  }

  #trim(): void {
    const keep = Math.max(0, this.#limit - this.#taken);
    if (this.#free.length > keep) this.#free.length = keep;
  }
}
