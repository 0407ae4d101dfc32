import { assert } from "../base/assert.js";
import type { MillraceError } from "../base/errors.js";
import type { ShardHandle } from "../handoff/sink.js";
import { guarded, type OsOperation } from "./os_error.js";
import { totalBytes } from "./write_all.js";

/**
 * How the bytes of one unfinished shard get into its `.partial` file: through the page cache or past it. Calls are not
 * overlapped; after one rejected only `discard` follows. All reject with the system's error.
 */
export interface PartialFile {
  readonly path: string;
  append(segments: readonly Uint8Array[], position: number): Promise<void>;
  /** The bytes so far are on the medium, those held back too. Undefined where that cannot be between appends. */
  sync?(): Promise<void>;
  /** Writes what is held back, syncs the data if asked, closes. Nothing is called afterwards. */
  finish(durable: boolean): Promise<void>;
  /** Closes. With `keep`, bytes held back are written where that is still possible. Never throws. */
  discard(keep: boolean): Promise<void>;
}

/** What a shard needs of its sink. */
export interface ShardHome {
  /** Renames the finished file to its key, and makes the name durable if asked. */
  publish(key: string, partialPath: string, durable: boolean): Promise<void>;
  /** Makes the name of an unfinished file durable. */
  keepName(partialPath: string): Promise<void>;
  /** Removes an unfinished file, also from the medium if asked. */
  remove(path: string, durable: boolean): Promise<void>;
  /** The shard is over: sealed or abandoned. */
  ended(key: string): void;
}

type State = "open" | "sealed" | "failed" | "abandoned";

/** One shard of the file sink: the order of its calls and its first error; the bytes are {@link PartialFile}'s. */
export class FileShard implements ShardHandle {
  #state: State = "open";
  #error: MillraceError | undefined;
  #bytes = 0;
  #named: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(
    private readonly key: string,
    private readonly partial: PartialFile,
    private readonly home: ShardHome,
    private readonly durable: boolean,
  ) {}

  write(segments: readonly Uint8Array[]): Promise<void> {
    return this.#exclusive(() => this.#append("write shard", segments));
  }

  sync(): Promise<void> {
    return this.#exclusive(async () => {
      const { partial } = this;
      assert(partial.sync !== undefined, "a shard that is synced was opened for it", { key: this.key });
      await guarded(this.#operation("sync shard"), () => partial.sync!());
      // Behind the data: a name that survives without them would be looked at in vain.
      this.#named ??= this.home.keepName(partial.path);
      await this.#named;
    });
  }

  seal(tail: Uint8Array, durable: boolean): Promise<void> {
    return this.#exclusive(async () => {
      await this.#append("write the index of shard", [tail]);
      const what = durable ? "sync shard" : "close shard";
      await guarded(this.#operation(what), () => this.partial.finish(durable));
      await this.home.publish(this.key, this.partial.path, durable);
      this.#state = "sealed";
      this.home.ended(this.key);
    });
  }

  async abandon(keep: boolean): Promise<void> {
    await this.#running?.catch(() => {});
    if (this.#state === "sealed" || this.#state === "abandoned") return;
    this.#state = "abandoned";
    await this.partial.discard(keep);
    if (!keep) await this.home.remove(this.partial.path, this.durable).catch(() => {});
    this.home.ended(this.key);
  }

  async #append(what: string, segments: readonly Uint8Array[]): Promise<void> {
    const bytes = totalBytes(segments);
    await guarded(this.#operation(what, bytes), () => this.partial.append(segments, this.#bytes));
    this.#bytes += bytes;
  }

  #operation(what: string, bytes?: number): OsOperation {
    return { what, path: this.partial.path, key: this.key, bytes, position: this.#bytes };
  }

  /** One call at a time; the first error sticks, so that nothing is sealed over a hole. */
  #exclusive(call: () => Promise<void>): Promise<void> {
    assert(this.#running === undefined, "calls on one shard do not overlap", { key: this.key });
    assert(this.#state === "open" || this.#state === "failed", "the shard is open", { key: this.key });
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const run = async () => {
      try {
        await call();
      } catch (error) {
        this.#state = "failed";
        this.#error = error as MillraceError;
        throw error;
      } finally {
        this.#running = undefined;
      }
    };
    this.#running = run();
    return this.#running;
  }
}
