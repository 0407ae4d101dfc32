/**
 * The contract of a sink: where shards and small objects go. Implementations live in `sinks/` and know nothing of Zarr.
 *
 * Thread: the delivery worker only. Calls for one shard come in order and are not overlapped: the next call on a shard
 * waits for the previous one's promise. Calls for different shards may overlap.
 *
 * Errors: every failure is a MillraceError (SINK_FAILED, DISK_FULL, PERMISSION_DENIED, STORE_EXISTS …) with the key in
 * its context. After an error on a shard only `abandon` is called on that shard.
 */
export interface Sink {
  /** For messages and metrics: "file", "memory", "discard", "throttled", "s3". */
  readonly kind: string;
  /** A readable place, for messages: a path, a URL. */
  readonly location: string;

  /**
   * Makes the store's root ready, before anything else is called. "create" refuses an existing store (STORE_EXISTS);
   * "overwrite" removes what is there first, so that no stale shard survives under a smaller shape. "resume" takes a
   * store that its last writer has closed (STORE_NOT_CLOSED) and changes nothing in it.
   */
  open(mode: OpenMode): Promise<void>;

  /** Starts a shard at `key` ("c/0/1/2"). The object is invisible to readers under `key` until it is sealed. */
  openShard(key: string, expected: ShardExpectation): Promise<ShardHandle>;

  /**
   * Writes a small object whole (zarr.json): a reader sees the old or the new bytes, never a mixture.
   * With `durable`, it survives a power cut once the promise resolves. `bytes` may be reused after that.
   */
  putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void>;

  /** Reads what lies in the store. Absent: such a store cannot be resumed. */
  readonly stored?: StoredObjects | undefined;

  /**
   * Of sinks that can append to what survives a crash: makes rows recoverable before their shards are sealed. Without
   * one, durability "batch" is refused, and recovery keeps whole rows of shards only.
   */
  readonly journal?: SinkJournal | undefined;

  /** Shards worth writing or sealing at the same time. Default 8. */
  readonly parallelShards?: number | undefined;

  /**
   * Only of sinks without a journal, whose store is recovered from the list of its objects. The list shows which rows
   * of shards are whole, so those count as durable once they are sealed; what it cannot show is durable only when it is
   * published, or announced here. The append dimension will end at `rows`, inside a row of shards: called before those
   * shards are sealed.
   */
  readonly announceEnd?: ((rows: number) => Promise<void>) | undefined;

  /**
   * The stream was aborted: calls that wait for somebody far away fail soon instead of trying on. What still comes
   * (abandon, a last putObject, close) may take seconds, not minutes. Sinks that wait for nobody need none of this.
   */
  readonly hurry?: (() => void) | undefined;

  /** Ends the sink after every shard was sealed or abandoned. Idempotent. */
  close(): Promise<void>;
}

/** What a sink is opened for: a new store, one instead of what is there, or one that goes on. */
export type OpenMode = "create" | "overwrite" | "resume";

/**
 * Objects of a store as readers see them. Thread: any one; calls may overlap. Rejects with a MillraceError that has the
 * key in its context.
 */
export interface StoredObjects {
  /** Bytes of an object; undefined: there is none. */
  size(key: string): Promise<number | undefined>;
  /**
   * `length` bytes from `offset`, fewer where the object ends before; undefined: there is none. The caller owns them.
   */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
}

/** What is synced to the medium, and when; see `durability` of the options. */
export type Durability = "none" | "shard" | "batch";

/** What is known of a shard before its first byte. */
export interface ShardExpectation {
  /** Upper bound of the finished object, index included; what part sizes and pre-allocation are computed from. */
  readonly maxBytes: number;
  /** What `seal` will ask for. A sink that closes files early must know beforehand. Default true. */
  readonly durable?: boolean | undefined;
  /** There is an object under this key: it stays visible as it is until the seal replaces it. Default false. */
  readonly replaces?: boolean | undefined;
  /** `sync` will be called between writes. Default false. */
  readonly synced?: boolean | undefined;
}

/** One shard being written. Its calls come one after another. */
export interface ShardHandle {
  /**
   * Appends `segments` in order behind what was written before. The memory is borrowed until the promise settles, also
   * when it rejects: a slot returns to its ring only after that (OUTPUT_RELEASED). Never a partial append that counts
   * as success.
   */
  write(segments: readonly Uint8Array[]): Promise<void>;

  /**
   * The bytes so far, and what recovery finds them by, survive a power cut once it resolves. Of sinks with a journal,
   * for shards opened as `synced`. A sync that failed is final: nothing may be called but `abandon`.
   */
  sync?(): Promise<void>;

  /**
   * Appends `tail` (the index), makes the object complete and visible under its key, and with `durable` makes it
   * survive a power cut: data synced before the name appears, the name synced before the promise resolves.
   */
  seal(tail: Uint8Array, durable: boolean): Promise<void>;

  /**
   * Releases handles and buffers. `keep` leaves the bytes so far for recovery; otherwise it is as if the shard had
   * never been opened. Never throws.
   */
  abandon(keep: boolean): Promise<void>;
}

/**
 * What a store holds besides its shards and objects while a writer is at work: a marker that says so, and append-only
 * files, one a row of shards. All of it is gone after a clean close. Calls as for a {@link Sink}; different files may
 * overlap.
 */
export interface SinkJournal {
  /**
   * Puts the marker. After `open` of the sink, before anything else; fails where another writer has put one meanwhile.
   */
  begin(writeId: string, durable: boolean): Promise<void>;
  /** A new file. */
  open(name: string): Promise<JournalFile>;
  /** Removes a file that was closed. */
  remove(name: string): Promise<void>;
  /**
   * Removes all files, and the marker last: the store is whole. With `durable` a power cut cannot bring files back
   * without the marker.
   */
  clear(durable: boolean): Promise<void>;
  /** CRC-32C by the fastest means there are. Undefined: the caller has its own. */
  readonly crc32c?: ((bytes: Uint8Array) => number) | undefined;
  /** What the user should know about durability "batch" on this sink, in a sentence. */
  readonly batchWarning?: string | undefined;
}

/** One append-only file of a journal. */
export interface JournalFile {
  /**
   * Appends; with `durable`, all so far survives a power cut. One call at a time, `bytes` are borrowed. The first
   * failure sticks.
   */
  append(bytes: Uint8Array, durable: boolean): Promise<void>;
  /** Idempotent. The file stays. */
  close(): Promise<void>;
}

/**
 * A sink as the user names it: plain data, because the sink itself is made on the delivery worker.
 * `transfer` lists ports inside `options` that must move with the message.
 */
export interface SinkSpec {
  /** Which sink is made: "file", "memory", "discard", "throttled", "s3", "module". */
  readonly kind: string;
  /** A readable place, for messages: a path, a URL. */
  readonly location: string;
  /** Options of the sink: plain data, cloned to the delivery worker. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Ports inside `options` that move there instead of being cloned. Default: none. */
  readonly transfer?: readonly unknown[] | undefined;
  /**
   * Memory the sink holds while streaming, for the memory plan: from the shards open at once and the upper bound of a
   * shard's bytes. Not cloned. Throws INVALID_OPTION for shards that the sink cannot take.
   */
  readonly memoryBytes: (openShards: number, shardBytesMax: number) => number;
  /** Whether the sink has a journal, which durability "batch" needs. Undefined: only the sink itself knows. */
  readonly journal?: boolean | undefined;
  /** A ready-made sink for `threads: "inline"` (tests); such a spec cannot cross to a worker. */
  readonly instance?: Sink | undefined;
}
