import { allSettled } from "../base/limited.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { type EpochTable, epochTable } from "../geometry/epoch_table.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Sink } from "../handoff/sink.js";
import type { Counters } from "../metrics/counters.js";
import type { Ordering } from "../slots/ordering.js";
import { DeliveryMeter } from "./delivery_meter.js";
import type { DeliveryState } from "./delivery_state.js";
import type { DeliveryInit, DeliveryNews } from "./messages.js";
import { Publisher } from "./publisher.js";
import { checkUnchanged, openCopy } from "./reopen_row.js";
import { Journals, journalNeeded } from "./row_journal.js";
import { type EncodedBytes, type SealedShard, ShardRow } from "./shard_row.js";

interface ArrayDeliveryInit {
  readonly init: DeliveryInit;
  readonly sink: Sink;
  readonly state: DeliveryState;
  readonly counters: Counters;
  readonly order: Ordering;
  toProducer(news: DeliveryNews): void;
  /** Something failed that no caller waits for. */
  onFailed(error: unknown): void;
}

/**
 * What delivery does to one array: its rows of shards are opened, appended to, committed, sealed and published, each in
 * order; one row is written while the one before it is sealed. Calls must not overlap, but for {@link publish}.
 * Delivery's thread.
 */
export class ArrayDelivery {
  readonly #init: DeliveryInit;
  readonly #g: ArrayGeometry;
  readonly #table: EpochTable;
  readonly #sink: Sink;
  readonly #state: DeliveryState;
  readonly #counters: Counters;
  readonly #meter: DeliveryMeter;
  readonly #order: Ordering;
  readonly #publisher: Publisher;
  /** Undefined where the sink has no journal. */
  readonly #journals: Journals | undefined;
  readonly #toProducer: (news: DeliveryNews) => void;
  readonly #onFailed: (error: unknown) => void;
  #current: ShardRow | undefined;
  /** Seals of the shard row before the current one; at most one row seals while the next is written. */
  #sealing: Promise<void> = Promise.resolve();
  #sealingRow: ShardRow | undefined;
  #rowsDurable: number;
  /** The store is as an earlier writer left it, but for what can be taken back. */
  #untouched: boolean;

  constructor({ init, sink, state, counters, order, toProducer, onFailed }: ArrayDeliveryInit) {
    this.#init = init;
    this.#g = init.geometry;
    this.#table = epochTable(init.geometry);
    this.#sink = sink;
    this.#state = state;
    this.#counters = counters;
    this.#meter = new DeliveryMeter(counters);
    this.#order = order;
    this.#toProducer = toProducer;
    this.#onFailed = onFailed;
    this.#rowsDurable = init.resume?.rows ?? 0;
    this.#untouched = init.resume !== undefined;
    this.#publisher = new Publisher({
      geometry: init.geometry,
      metadata: init.metadata,
      resume: init.resume,
      sink,
      counters,
      order,
      durable: init.durability !== "none",
      intervalMs: init.publishIntervalMs,
      onPublished: (rows) => {
        this.#journals?.published(rows);
        toProducer({ type: "published", rows });
      },
      onFailed,
    });
    this.#journals =
      sink.journal &&
      new Journals({
        journal: sink.journal,
        geometry: init.geometry,
        durability: init.durability,
        chunksPerBatch: init.memory.outputLayout.chunksPerEpoch * init.memory.outputLayout.epochsPerBatch,
        counters,
        order,
        onWarning: (message) => toProducer({ type: "warning", message }),
      });
  }

  /**
   * For durability "batch". A warning says what the journal cannot promise.
   * @throws MillraceError INVALID_OPTION for a sink without a journal
   */
  checkJournal(): void {
    const { kind, location, journal } = this.#sink;
    if (journal === undefined) throw journalNeeded(kind, location);
    if (journal.batchWarning !== undefined) {
      this.#toProducer({ type: "warning", message: journal.batchWarning });
    }
  }

  /**
   * The marker, then the metadata: shape 0, or that of the store which is resumed. `look` throws once nobody wants it.
   */
  async begin(look: () => void): Promise<void> {
    await this.#journals?.begin();
    try {
      look();
      if (this.#init.resume === undefined) await this.#publisher.publish();
      else await checkUnchanged(this.#sink, this.#init.resume);
    } catch (error) {
      // Nothing was written that could be recovered. The first failure is the one to report.
      await this.#journals?.clear().catch(() => {});
      throw error;
    }
  }

  /** Opens the row of shards that a resumed stream goes on in, with the leading `keepEpochs` epochs that it holds. */
  async reopenRow(row: number, keepEpochs: number): Promise<void> {
    const stopped = (): boolean => !this.#state.writes;
    if (stopped()) return;
    const current = await this.#openRow(row, true);
    this.#current = current;
    const { epochsPerBatch } = this.#init.memory.outputLayout;
    const { epochRows, epochsPerShard } = this.#g;
    const copy = await openCopy(current, this.#g, this.#sink, stopped);
    for (let from = 0; from < keepEpochs && !stopped(); from += epochsPerBatch) {
      const to = Math.min(keepEpochs, from + epochsPerBatch);
      await this.#order.waitFor("JOURNAL_AFTER_DATA", copy(from, to), undefined);
      if (!stopped()) await this.#commit(current, from, to - from, (row * epochsPerShard + to) * epochRows);
    }
  }

  /** Settles only when the sink has retired every write of the batch. */
  async write(batch: HostBatch): Promise<void> {
    this.#untouched = false;
    const { memory } = this.#init;
    const encoded = {
      output: memory.output[batch.slotIndex],
      sizes: memory.sizes[batch.slotIndex],
      offsets: memory.offsets[batch.slotIndex],
    };
    const { epochsPerShard } = this.#g;
    for (let from = 0; from < batch.epochCount; ) {
      const epoch = batch.firstEpoch + from;
      const row = Math.floor(epoch / epochsPerShard);
      const to = Math.min(batch.epochCount, (row + 1) * epochsPerShard - batch.firstEpoch);
      this.#current ??= await this.#openRow(row);
      await this.#append(this.#current, batch, from, to, encoded);
      const rowTo = Math.min(batch.rowTo, (batch.firstEpoch + to) * this.#g.epochRows);
      await this.#commit(this.#current, epoch - row * epochsPerShard, to - from, rowTo);
      if (batch.firstEpoch + to === (row + 1) * epochsPerShard) await this.#sealCurrent(rowTo);
      from = to;
    }
  }

  /**
   * Rows of shards up to `rowTo`, a whole number of them, were skipped. Nothing is stored, and no journal tells of
   * them: published, they are durable. SKIP_PUBLISHED: only then may a later row begin, since recovery goes from the
   * shape on from row to row, and ends where one has no journal.
   */
  async passBy(rowTo: number): Promise<void> {
    this.#untouched = false;
    await this.sealed();
    if (!this.#state.writes) return;
    await this.#order.waitFor("SKIP_PUBLISHED", this.#publisher.publishUpTo(rowTo), undefined);
    this.#journals?.passedBy();
    this.#rowsDurable = Math.max(this.#rowsDurable, rowTo);
  }

  async #openRow(row: number, isContinued = false): Promise<ShardRow> {
    // First: a shard that no journal tells of is one that recovery can only throw away.
    const journal = await this.#journals?.openRow(row);
    const isHurried = (): boolean => this.#state.isHurried;
    return new ShardRow(row, this.#g, this.#table, this.#sink, journal, this.#init, isHurried, isContinued);
  }

  async #append(row: ShardRow, batch: HostBatch, from: number, to: number, encoded: EncodedBytes): Promise<void> {
    const appended = row.append(
      batch,
      from,
      to,
      encoded,
      (bytes, write) => this.#meter.write(bytes, write),
      (bytes, enter) => this.#meter.checksums(bytes, enter),
    );
    await (row.journal === undefined ? appended : this.#order.waitFor("JOURNAL_AFTER_DATA", appended, undefined));
  }

  /**
   * The epochs are with the sink: enters them into the journal, and at durability "batch" makes both survive a power
   * cut.
   */
  async #commit(row: ShardRow, firstEpoch: number, epochCount: number, rowTo: number): Promise<void> {
    if (row.journal !== undefined) {
      const committed = allSettled([
        row.journal.commit(firstEpoch, epochCount, rowTo),
        row.sync((sync) => this.#meter.sync(sync)),
      ]);
      await this.#order.waitFor("DURABLE_AFTER_COMMIT", committed, undefined);
    }
    // Behind the journal, which recovery goes by: what counts as delivered outlives the process. And before the seal,
    // which may be done before the rest of the batch: durable rows are delivered ones.
    this.#counters.raise("rowsDelivered", rowTo);
    if (row.journal !== undefined && this.#init.durability === "batch") this.#durableUpTo(rowTo);
  }

  /**
   * Starts sealing the current row, which ends at `rowTo`, and makes way for the next one: syncing a shard takes as
   * long as the disk needs, and the next row must not wait for it. Waits for the row before, so two rows are open at
   * most.
   */
  async #sealCurrent(rowTo: number): Promise<void> {
    const row = this.#current as ShardRow;
    await this.sealed();
    if (this.#state.hasFailed) return;
    this.#untouched = false;
    this.#current = undefined;
    this.#sealingRow = row;
    this.#sealing = this.#seal(row, rowTo).catch((error) => this.#onFailed(error));
  }

  async #seal(row: ShardRow, rowTo: number): Promise<void> {
    const rowsPerShard = this.#g.epochsPerShard * this.#g.epochRows;
    const rowFrom = row.row * rowsPerShard;
    // Also where the last batch completes the row: its last epoch may be padded.
    if (rowTo < rowFrom + rowsPerShard) {
      await this.#order.observed("PUBLISH_AFTER_DURABLE", this.#sink.announceEnd?.(rowTo) ?? Promise.resolve());
    }
    // Looked at first: sealed shards are forgotten.
    const { hasAllShards } = row;
    const sealed = row.seal((shard, seal) => this.#sealShard(shard, seal, rowFrom, rowTo));
    await this.#order.waitFor("PUBLISH_AFTER_DURABLE", sealed, undefined);
    this.#sealingRow = undefined;
    if (row.journal !== undefined) {
      try {
        await this.#order.waitFor("DURABLE_AFTER_COMMIT", row.journal.seal(rowTo), undefined);
      } catch (error) {
        // The shards are whole all the same: publishing them is what the end of the stream still can do.
        this.#onFailed(error);
        this.#publisher.want(rowTo);
        return;
      }
      this.#journals?.sealed(row.row);
    }
    await this.#raiseDurable(rowTo, hasAllShards);
    this.#publisher.want(rowTo);
  }

  async #sealShard(shard: SealedShard, seal: () => Promise<void>, rowFrom: number, rowTo: number): Promise<void> {
    await this.#meter.seal(this.#g.chunksPerShard * 16 + 4, seal);
    this.#toProducer({ type: "shard", key: shard.key, bytes: shard.bytes, rowFrom, rowTo });
  }

  /**
   * `listed`: the store's objects alone show that these rows are whole. What they cannot show is durable once it is
   * published.
   */
  async #raiseDurable(rows: number, listed: boolean): Promise<void> {
    if (this.#sink.announceEnd !== undefined && !listed) await this.#publisher.publishUpTo(rows);
    this.#durableUpTo(rows);
  }

  /** At durability "batch" the row that is being written is ahead of the one that is being sealed. */
  #durableUpTo(rows: number): void {
    this.#rowsDurable = Math.max(this.#rowsDurable, rows);
    this.#counters.raise("rowsDurable", rows);
  }

  /** The shard row before the current one is sealed, or has failed. */
  sealed(): Promise<void> {
    return this.#order.observed("PUBLISH_AFTER_DURABLE", this.#sealing);
  }

  /** Publishes what is durable, now. */
  publish(): Promise<void> {
    return this.#publisher.publish();
  }

  /** Seals what is open and publishes the final length, `rows`. Failures are told. */
  async complete(rows: number): Promise<void> {
    if (this.#current !== undefined) await this.#sealCurrent(rows);
    await this.sealed();
    if (this.#state.hasFailed) return;
    // Nothing lies in the rows behind the last shard: they were skipped.
    await this.#raiseDurable(rows, this.#rowsDurable >= rows).catch((error) => this.#onFailed(error));
    this.#publisher.want(rows);
  }

  /**
   * The last steps, one after the other, whatever becomes of the one before. `isComplete`: nothing is left to recover.
   */
  lastSteps(isComplete: boolean): readonly (() => Promise<void> | undefined)[] {
    // On a full disk the open shards make room for the metadata: it makes whole shards visible, and they are in pieces.
    // Not where rows in them were promised.
    const keep = !this.#untouched && (!this.#state.isDiskFull || this.#init.durability === "batch");
    return [
      () => this.#current?.abandon(keep),
      () => this.#sealingRow?.abandon(keep),
      // Also after a failure: rows that were sealed before it are safe, and readers may see them.
      () => this.#publisher.publish(),
      () => this.#publisher.stop(),
      // A stream that was resumed and has come to nothing takes itself back: there is nothing to recover.
      () =>
        (isComplete && !this.#state.hasFailed) || this.#untouched ? this.#journals?.clear() : this.#journals?.settled(),
    ];
  }
}
