import { assert } from "../base/assert.js";
import { forEachLimited } from "../base/limited.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { shardKeyCoordinates } from "../geometry/chunk_grid.js";
import type { EpochTable } from "../geometry/epoch_table.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Durability, ShardHandle, Sink } from "../handoff/sink.js";
import { chunkKey } from "../zarr/chunk_key.js";
import { ShardIndex, shardIndexBytes } from "../zarr/shard_index.js";
import type { RowJournal } from "./row_journal.js";

/** Shards written or sealed at the same time where the sink does not say; libuv runs four file operations at once. */
const SHARDS_AT_ONCE = 8;

/** A shard that is being written. `offset`: its bytes so far. */
export interface OpenShard {
  readonly key: string;
  readonly handle: ShardHandle;
  readonly index: ShardIndex;
  offset: number;
}

export interface SealedShard {
  readonly key: string;
  readonly bytes: number;
}

/** Thrown between two shards once nobody wants the rest: no failure of the sink, and nothing to report. */
export class Stopped extends Error {}

/** Encoded bytes of a batch and where they lie. Borrowed until the write settles. */
export interface EncodedBytes {
  readonly output: Uint8Array;
  readonly sizes: Uint32Array;
  readonly offsets: Uint32Array;
}

/**
 * One row of shards along the append dimension: the shards that fill at the same time, side by side. Chunks go into
 * each shard in epoch order, within an epoch in C order, whatever the batch size: that makes shard bytes independent of
 * it.
 */
export class ShardRow {
  readonly row: number;
  /** Undefined where the sink has none. */
  readonly journal: RowJournal | undefined;
  readonly #g: ArrayGeometry;
  readonly #table: EpochTable;
  readonly #sink: Sink;
  readonly #atOnce: number;
  readonly #maxBytes: number;
  readonly #durability: Durability;
  /** Written to since they were synced; nothing where shards are synced when they are sealed. */
  readonly #unsynced = new Set<OpenShard>();
  /** A shard is opened with its first chunk: one that is skipped whole never exists. */
  readonly #shards: (OpenShard | undefined)[];
  readonly #isContinued: boolean;
  readonly #stopped: () => boolean;

  constructor(
    row: number,
    g: ArrayGeometry,
    table: EpochTable,
    sink: Sink,
    journal: RowJournal | undefined,
    init: { readonly chunkBytesMax: number; readonly durability: Durability },
    /**
     * Looked at before each call of the sink on a shard: of a row of thousands the rest is left out once it is true.
     */
    stopped: () => boolean,
    /** The published shape reaches into the row: an earlier writer has begun it. */
    isContinued = false,
  ) {
    this.row = row;
    this.journal = journal;
    this.#g = g;
    this.#table = table;
    this.#sink = sink;
    this.#isContinued = isContinued;
    this.#stopped = stopped;
    this.#atOnce = sink.parallelShards ?? SHARDS_AT_ONCE;
    this.#durability = init.durability;
    this.#maxBytes = g.chunksPerShard * init.chunkBytesMax + shardIndexBytes(g.chunksPerShard);
    this.#shards = new Array(g.shardsPerRow).fill(undefined);
  }

  /**
   * Whether a list of the store's objects shows that the row is whole once it is sealed: every shard holds a chunk, and
   * the published shape did not end inside the row before, where recovery would leave it.
   */
  get hasAllShards(): boolean {
    return !this.#isContinued && this.#shards.every((shard) => shard !== undefined);
  }

  keyOf(s: number): string {
    return chunkKey(shardKeyCoordinates(this.#g, this.row, s));
  }

  /**
   * Begins shard s anew beside the object that an earlier writer has sealed: what is to be kept of that one must be
   * copied.
   */
  reopen(s: number): Promise<OpenShard> {
    assert(this.#isContinued && this.#shards[s] === undefined, "a shard is opened again before anything else", { s });
    return this.#open(s, true);
  }

  /** Appends a copy of chunks, which are in the index already, to a shard that was reopened. */
  async appendCopy(shard: OpenShard, bytes: Uint8Array): Promise<void> {
    if (this.#durability === "batch") this.#unsynced.add(shard);
    await shard.handle.write([bytes]);
  }

  /**
   * Appends epochs [from, to) of the batch, counted inside the batch, to their shards. `onWrite(bytes, write)` runs
   * every write, so that the caller can count it; `onChecksums(bytes, enter)` the entering of their chunks into the
   * journal. Settles once every write has; then rejects with the first failure, or with Stopped.
   */
  async append(
    batch: HostBatch,
    from: number,
    to: number,
    encoded: EncodedBytes,
    onWrite: (bytes: number, write: () => Promise<void>) => Promise<void>,
    onChecksums: (bytes: number, enter: () => void) => void,
  ): Promise<void> {
    await forEachLimited(this.#shards, this.#atOnce, async (_, s) => {
      const chunks = this.#chunksOf(s, batch, from, to, encoded.sizes);
      if (chunks.length === 0) return;
      this.#look();
      const shard = await this.#open(s);
      this.#look();
      const segments = this.#segments(shard, chunks, batch.firstEpoch, encoded);
      const bytes = segments.reduce((sum, segment) => sum + segment.byteLength, 0);
      if (this.#durability === "batch") this.#unsynced.add(shard);
      const written = onWrite(bytes, () => shard.handle.write(segments));
      // Beside the write, which is the disk's time and not this thread's.
      if (this.journal !== undefined) {
        onChecksums(bytes, () => this.#enter(s, shard, chunks, batch.firstEpoch, encoded));
      }
      await written;
    });
  }

  /** Syncs what was appended to since the last time; `onSync` runs each sync. Settles as `append` does. */
  async sync(onSync: (sync: () => Promise<void>) => Promise<void>): Promise<void> {
    const shards = [...this.#unsynced];
    this.#unsynced.clear();
    await forEachLimited(shards, this.#atOnce, async ({ key, handle }) => {
      this.#look();
      assert(handle.sync !== undefined, "shards of a sink with a journal can be synced", { key });
      await onSync(() => handle.sync!());
    });
  }

  /** Seals every shard that holds a chunk: `onSeal` runs each seal and hears of its result. */
  async seal(onSeal: (shard: SealedShard, seal: () => Promise<void>) => Promise<void>): Promise<void> {
    await forEachLimited(this.#shards, this.#atOnce, async (shard, s) => {
      if (shard === undefined) return;
      this.#look();
      const index = shard.index.encode();
      // Checked again when the store is verified: what is entered here must be what was written.
      assert(shard.offset <= this.#maxBytes - index.byteLength, "a shard stays within its bound", {
        bytes: shard.offset,
      });
      await onSeal({ key: shard.key, bytes: shard.offset + index.byteLength }, () =>
        shard.handle.seal(index, this.#durability !== "none"),
      );
      this.#shards[s] = undefined;
    });
  }

  /**
   * Gives up what is open; `keep` leaves the bytes so far for recovery. Settles once every shard has; then rejects with
   * a sink's failure.
   */
  async abandon(keep: boolean): Promise<void> {
    const given = await Promise.allSettled(this.#shards.map((shard) => shard?.handle.abandon(keep)));
    this.#shards.fill(undefined);
    for (const result of given) if (result.status === "rejected") throw result.reason;
  }

  #look(): void {
    if (this.#stopped()) throw new Stopped("the stream was aborted between two shards");
  }

  /** Task numbers of shard s in the batch that hold a chunk, in shard order. */
  #chunksOf(s: number, batch: HostBatch, from: number, to: number, sizes: Uint32Array): number[] {
    const { shardStart, chunksPerEpoch } = this.#table;
    const tasks: number[] = [];
    for (let epoch = from; epoch < to; epoch++) {
      for (let chunk = shardStart[s]; chunk < shardStart[s + 1]; chunk++) {
        const task = epoch * chunksPerEpoch + chunk;
        if (sizes[task] !== 0) tasks.push(task);
      }
    }
    assert(to <= batch.epochCount, "epochs lie in the batch", { to, epochs: batch.epochCount });
    return tasks;
  }

  async #open(s: number, replaces = false): Promise<OpenShard> {
    const open = this.#shards[s];
    if (open !== undefined) return open;
    const key = this.keyOf(s);
    const handle = await this.#sink.openShard(key, {
      maxBytes: this.#maxBytes,
      durable: this.#durability !== "none",
      synced: this.#durability === "batch",
      replaces,
    });
    const shard = { key, handle, index: new ShardIndex(this.#g.chunksPerShard), offset: 0 };
    this.#shards[s] = shard;
    return shard;
  }

  /** Enters the chunks into the index and joins neighbours that lie without a gap into one segment. */
  #segments(shard: OpenShard, tasks: readonly number[], firstEpoch: number, encoded: EncodedBytes): Uint8Array[] {
    const { output, sizes, offsets } = encoded;
    const segments: Uint8Array[] = [];
    let from = 0;
    let to = 0;
    for (const task of tasks) {
      const entry = this.#entryOf(task, firstEpoch);
      assert(shard.index.get(entry) === undefined, "a chunk is delivered once", { entry });
      shard.index.set(entry, shard.offset, sizes[task]);
      shard.offset += sizes[task];
      const at = offsets[task];
      if (at !== to) {
        if (to > from) segments.push(output.subarray(from, to));
        from = at;
      }
      to = at + sizes[task];
    }
    if (to > from) segments.push(output.subarray(from, to));
    return segments;
  }

  /** The journal's side of `#segments`: where each chunk lies, and its checksum. */
  #enter(s: number, shard: OpenShard, tasks: readonly number[], firstEpoch: number, encoded: EncodedBytes): void {
    const { output, sizes, offsets } = encoded;
    for (const task of tasks) {
      const entry = this.#entryOf(task, firstEpoch);
      const { offset } = shard.index.get(entry)!;
      this.journal?.enter(s, entry, offset, output.subarray(offsets[task], offsets[task] + sizes[task]));
    }
  }

  /** Where a task's chunk stands in the index of its shard. */
  #entryOf(task: number, firstEpoch: number): number {
    const { chunksPerEpoch, entriesPerEpoch, innerPosition } = this.#table;
    const epochInBatch = Math.floor(task / chunksPerEpoch);
    const epochInShard = (firstEpoch + epochInBatch) % this.#g.epochsPerShard;
    return epochInShard * entriesPerEpoch + innerPosition[task - epochInBatch * chunksPerEpoch];
  }
}
