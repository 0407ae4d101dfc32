import { now, sleep } from "../base/clock.js";
import type { OpenMode, ShardExpectation, ShardHandle, Sink, SinkJournal, StoredObjects } from "../handoff/sink.js";
import { totalBytes } from "./write_all.js";

/** How slow a {@link throttledSink} is. */
export interface ThrottleSettings {
  /** Over all shards and objects together. Infinity: no limit. */
  readonly bytesPerSecond: number;
  /** Added to every call, also of calls that run side by side. */
  readonly latencyMs: number;
}

/**
 * A sink as slow as one wishes: a network, an old disk. Every call waits for its turn on a line of the given rate, then
 * goes to the inner sink. Nothing is copied or queued here: the caller's memory stays borrowed while it waits.
 */
export class ThrottledSink implements Sink {
  readonly kind = "throttled";
  readonly location: string;
  readonly stored: Sink["stored"];
  readonly parallelShards: Sink["parallelShards"];
  readonly announceEnd: Sink["announceEnd"];
  readonly journal: Sink["journal"];
  /** When the line is free again, ms. In the past: it is idle, and idle time is not saved up. */
  #freeAtMs = 0;
  #hurried = false;
  /** Calls that wait. Each has a signal of its own: Node warns of a leak when more than ten listen to one. */
  readonly #waiting = new Set<AbortController>();

  constructor(
    private readonly inner: Sink,
    private readonly settings: ThrottleSettings,
  ) {
    this.location = inner.location;
    this.stored = inner.stored && this.#slowed(inner.stored);
    this.parallelShards = inner.parallelShards;
    this.announceEnd = inner.announceEnd;
    this.journal = inner.journal && this.#throttle(inner.journal);
  }

  readonly hurry = (): void => {
    this.#hurried = true;
    for (const call of this.#waiting) call.abort();
    this.inner.hurry?.();
  };

  async open(mode: OpenMode): Promise<void> {
    await this.#transmit(0);
    await this.inner.open(mode);
  }

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    await this.#transmit(0);
    const shard = await this.inner.openShard(key, expected);
    return {
      write: async (segments) => {
        await this.#transmit(totalBytes(segments));
        await shard.write(segments);
      },
      sync:
        shard.sync &&
        (async () => {
          await this.#transmit(0);
          await shard.sync?.();
        }),
      seal: async (tail, durable) => {
        await this.#transmit(tail.byteLength);
        await shard.seal(tail, durable);
      },
      abandon: (keep) => shard.abandon(keep),
    };
  }

  async putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    await this.#transmit(bytes.byteLength);
    await this.inner.putObject(key, bytes, durable);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  #slowed(stored: StoredObjects): StoredObjects {
    return {
      size: async (key) => {
        await this.#transmit(0);
        return await stored.size(key);
      },
      getRange: async (key, offset, length) => {
        await this.#transmit(length);
        return await stored.getRange(key, offset, length);
      },
    };
  }

  /** A journal is small, but what it says travels the same line. */
  #throttle(journal: SinkJournal): SinkJournal {
    return {
      begin: async (writeId, durable) => {
        await this.#transmit(0);
        await journal.begin(writeId, durable);
      },
      open: async (name) => {
        await this.#transmit(0);
        const file = await journal.open(name);
        return {
          append: async (bytes, durable) => {
            await this.#transmit(bytes.byteLength);
            await file.append(bytes, durable);
          },
          close: () => file.close(),
        };
      },
      remove: (name) => journal.remove(name),
      clear: (durable) => journal.clear(durable),
      crc32c: journal.crc32c,
      batchWarning: journal.batchWarning,
    };
  }

  /** Takes the next stretch of the line and waits for its end; timers are coarse, but their errors do not add up. */
  async #transmit(bytes: number): Promise<void> {
    const at = now();
    this.#freeAtMs = Math.max(this.#freeAtMs, at) + (bytes / this.settings.bytesPerSecond) * 1000;
    if (this.#hurried) return;
    const call = new AbortController();
    this.#waiting.add(call);
    try {
      await sleep(this.#freeAtMs - at + this.settings.latencyMs, call.signal);
    } catch (error) {
      if (!call.signal.aborted) throw error;
    } finally {
      this.#waiting.delete(call);
    }
  }
}
