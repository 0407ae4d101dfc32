import { assert } from "../base/assert.js";
import { nowNs } from "../base/clock.js";
import type { OpenMode, ShardExpectation, ShardHandle, Sink, SinkJournal } from "../handoff/sink.js";
import { totalBytes } from "./write_all.js";

/** Where each figure stands in the shared array. All but `pendingBytes` only grow. */
export const SINK_METER = {
  /** Bytes handed to the sink whose call has not settled, also failing ones. Backpressure reads it. */
  pendingBytes: 0,
  /** Bytes that the sink has taken: data, indexes, objects. */
  bytes: 1,
  /** Calls of `write` that succeeded. */
  writes: 2,
  /** Shards sealed. */
  seals: 3,
  /** Objects put. */
  objects: 4,
  /** Calls that failed. */
  failures: 5,
  /** Nanoseconds from call to settling, summed over calls; calls that overlap count twice. */
  callNs: 6,
  /** Calls of `sync` of a shard. */
  syncs: 7,
  /** Bytes appended to journals; not among `bytes`. */
  journalBytes: 8,
} as const;

/** Elements of the array that {@link MeteringSink} needs. */
export const SINK_METER_LENGTH = 9;

type Counter = "writes" | "seals" | "objects" | "syncs";

/** Counts what goes to a sink in memory that other threads can read at any time. Changes nothing about the calls. */
export class MeteringSink implements Sink {
  readonly kind: string;
  readonly location: string;
  readonly stored: Sink["stored"];
  readonly parallelShards: Sink["parallelShards"];
  readonly announceEnd: Sink["announceEnd"];
  readonly journal: Sink["journal"];
  readonly hurry: Sink["hurry"];

  /** @param counters SINK_METER_LENGTH elements over a SharedArrayBuffer, see {@link SINK_METER}. */
  constructor(
    private readonly inner: Sink,
    private readonly counters: BigInt64Array,
  ) {
    assert(counters.length >= SINK_METER_LENGTH, "the meter has room", { length: counters.length });
    this.kind = inner.kind;
    this.location = inner.location;
    this.stored = inner.stored;
    this.parallelShards = inner.parallelShards;
    this.announceEnd = inner.announceEnd;
    this.journal = inner.journal && this.#meter(inner.journal);
    this.hurry = inner.hurry;
  }

  open(mode: OpenMode): Promise<void> {
    return this.inner.open(mode);
  }

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    const shard = await this.inner.openShard(key, expected);
    return {
      write: (segments) => this.#measure(totalBytes(segments), "writes", () => shard.write(segments)),
      sync: shard.sync && (() => this.#measure(0, "syncs", () => shard.sync!())),
      seal: (tail, durable) => this.#measure(tail.byteLength, "seals", () => shard.seal(tail, durable)),
      abandon: (keep) => shard.abandon(keep),
    };
  }

  putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    return this.#measure(bytes.byteLength, "objects", () => this.inner.putObject(key, bytes, durable));
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  #meter(journal: SinkJournal): SinkJournal {
    return {
      begin: (writeId, durable) => journal.begin(writeId, durable),
      open: async (name) => {
        const file = await journal.open(name);
        return {
          append: async (bytes, durable) => {
            await file.append(bytes, durable);
            this.#add("journalBytes", bytes.byteLength);
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

  async #measure(bytes: number, counter: Counter, call: () => Promise<void>): Promise<void> {
    // Before the call: a sink that is done at once must not make the figure negative for an instant.
    this.#add("pendingBytes", bytes);
    const start = nowNs();
    try {
      await call();
      this.#add("bytes", bytes);
      this.#add(counter, 1);
    } catch (error) {
      this.#add("failures", 1);
      throw error;
    } finally {
      this.#add("callNs", nowNs() - start);
      this.#add("pendingBytes", -bytes);
    }
  }

  #add(counter: keyof typeof SINK_METER, amount: number): void {
    Atomics.add(this.counters, SINK_METER[counter], BigInt(Math.round(amount)));
  }
}
