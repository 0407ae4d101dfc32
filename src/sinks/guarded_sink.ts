import { MillraceError } from "../base/errors.js";
import type { OpenMode, ShardExpectation, ShardHandle, Sink, SinkJournal, StoredObjects } from "../handoff/sink.js";
import { guarded } from "./os_error.js";

/**
 * Somebody else's sink: whatever it throws, or fails to return, is a MillraceError of the sink and not a bug of ours.
 * Everything else is as the sink does it.
 */
export class GuardedSink implements Sink {
  readonly kind: string;
  readonly location: string;
  readonly stored: Sink["stored"];
  readonly parallelShards: Sink["parallelShards"];
  readonly announceEnd: Sink["announceEnd"];
  readonly journal: Sink["journal"];
  readonly hurry: Sink["hurry"];
  /** What `hurry` threw: nobody waits for that call. */
  #hurryFailure: { readonly error: unknown } | undefined;

  /** @param location names the sink where it does not do so itself. */
  constructor(
    private readonly inner: Sink,
    location: string,
  ) {
    this.kind = typeof inner.kind === "string" ? inner.kind : "module";
    this.location = typeof inner.location === "string" ? inner.location : location;
    this.parallelShards = inner.parallelShards;
    this.stored = inner.stored && this.#guardStored(inner.stored);
    this.journal = inner.journal && this.#guardJournal(inner.journal);
    if (inner.announceEnd !== undefined) {
      this.announceEnd = (rows) => this.#call("announce the end to", undefined, async () => inner.announceEnd?.(rows));
    }
    if (inner.hurry !== undefined) {
      this.hurry = () => {
        try {
          inner.hurry?.();
        } catch (error) {
          this.#hurryFailure ??= { error };
        }
      };
    }
  }

  open(mode: OpenMode): Promise<void> {
    return this.#call("open", undefined, async () => this.inner.open(mode));
  }

  openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    return this.#call("open a shard in", key, async () => {
      const shard = await this.inner.openShard(key, expected);
      for (const method of ["write", "seal", "abandon"] as const) {
        if (typeof shard?.[method] !== "function") throw new TypeError(`what openShard returned has no ${method}()`);
      }
      return this.#guardShard(key, shard);
    });
  }

  putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    return this.#call("put an object into", key, async () => this.inner.putObject(key, bytes, durable));
  }

  async close(): Promise<void> {
    await this.#call("close", undefined, async () => this.inner.close());
    const failed = this.#hurryFailure;
    if (failed === undefined) return;
    this.#hurryFailure = undefined;
    await this.#call("hurry", undefined, () => Promise.reject(failed.error));
  }

  #guardShard(key: string, shard: ShardHandle): ShardHandle {
    return {
      write: (segments) => this.#call("write to", key, async () => shard.write(segments)),
      sync: shard.sync && (() => this.#call("sync", key, async () => shard.sync?.())),
      seal: (tail, durable) => this.#call("seal a shard of", key, async () => shard.seal(tail, durable)),
      abandon: (keep) => this.#call("abandon a shard of", key, async () => shard.abandon(keep)),
    };
  }

  #guardStored(stored: StoredObjects): StoredObjects {
    return {
      size: (key) => this.#call("look into", key, async () => stored.size(key)),
      getRange: (key, offset, length) => this.#call("read from", key, async () => stored.getRange(key, offset, length)),
    };
  }

  #guardJournal(journal: SinkJournal): SinkJournal {
    return {
      begin: (writeId, durable) =>
        this.#call("begin the journal of", undefined, async () => journal.begin(writeId, durable)),
      open: (name) =>
        this.#call("open a journal in", name, async () => {
          const file = await journal.open(name);
          return {
            append: (bytes, durable) => this.#call("append to", name, async () => file.append(bytes, durable)),
            close: () => this.#call("close", name, async () => file.close()),
          };
        }),
      remove: (name) => this.#call("remove a journal from", name, async () => journal.remove(name)),
      clear: (durable) => this.#call("clear the journal of", undefined, async () => journal.clear(durable)),
      crc32c: journal.crc32c && ((bytes) => journal.crc32c?.(bytes) as number),
      batchWarning: journal.batchWarning,
    };
  }

  /** `run` is an async function: what is thrown at once is caught with the rest. */
  #call<T>(what: string, key: string | undefined, run: () => Promise<T>): Promise<T> {
    return guarded({ what, path: this.location, key }, run);
  }
}

/** What the maker of a sink returned, guarded. @throws MillraceError INVALID_OPTION when it is no sink */
export function guardSink(made: unknown, url: string): Sink {
  const sink = made as Sink | null | undefined;
  for (const method of ["open", "openShard", "putObject", "close"] as const) {
    if (typeof sink?.[method] === "function") continue;
    throw new MillraceError("INVALID_OPTION", `the default export of ${url} returned no sink: it has no ${method}().`, {
      context: { option: "sink", url, missing: method },
    });
  }
  return new GuardedSink(sink as Sink, url);
}
