import { nowNs } from "../base/clock.js";
import { isMillraceError, MillraceError, toWireError } from "../base/errors.js";
import { allSettled } from "../base/limited.js";
import { Signal } from "../base/signal.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { type EpochTable, epochTable } from "../geometry/epoch_table.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Sink } from "../handoff/sink.js";
import { Counters } from "../metrics/counters.js";
import { OwnerWaits } from "../metrics/owner_waits.js";
import { Ordering } from "../slots/ordering.js";
import { SlotRing } from "../slots/slot_ring.js";
import type { DeliveryInit, DeliveryNews, FromDelivery, ToDelivery } from "./messages.js";
import { Publisher } from "./publisher.js";
import { checkUnchanged, openCopy } from "./reopen_row.js";
import { Journals, journalNeeded } from "./row_journal.js";
import { type EncodedBytes, type SealedShard, ShardRow, Stopped } from "./shard_row.js";

export interface DeliveryLinks {
  toProducer(news: DeliveryNews): void;
  toEngine(message: FromDelivery): void;
}

/**
 * The delivery worker: drains encoded batches strictly oldest first into the sink, seals shards, publishes the shape.
 * It owns the sink. A failure sticks: later batches are joined unwritten, open shards are given up with their bytes
 * left for recovery, and what was sealed before is still published. Thread: its own, or the caller's when inline.
 */
export class Delivery {
  readonly #init: DeliveryInit;
  readonly #g: ArrayGeometry;
  readonly #table: EpochTable;
  readonly #sink: Sink;
  readonly #links: DeliveryLinks;
  readonly #counters: Counters;
  readonly #order: Ordering;
  readonly #output: SlotRing;
  readonly #publisher: Publisher;
  /** Undefined where the sink has no journal. */
  readonly #journals: Journals | undefined;
  /** Generation whose turn it is, and who waits for a later one. */
  #turn = 1;
  readonly #waiting = new Map<number, (() => void)[]>();
  #current: ShardRow | undefined;
  /** Seals of the shard row before the current one; at most one row seals while the next is written. */
  #sealing: Promise<void> = Promise.resolve();
  #sealingRow: ShardRow | undefined;
  #rowsDurable = 0;
  /** The write of the job whose turn it is. */
  #writing: Promise<void> = Promise.resolve();
  #failed = false;
  #diskFull = false;
  #aborted = false;
  /** Aborted, and nobody wants what is on its way: loops over shards end. */
  #hurried = false;
  #ending = false;
  #stopped = false;
  #reopening: Promise<void> = Promise.resolve();
  /** The store is as an earlier writer left it, but for what can be taken back. */
  #untouched: boolean;
  /** Messages that are worked on. */
  #working = 0;
  readonly #begun = new Signal();

  /**
   * Opens the store: after this its metadata is valid, with shape 0 or that of the store which is resumed. Rejects with
   * the sink's error.
   */
  static async open(
    init: DeliveryInit,
    sink: Sink,
    links: DeliveryLinks,
    stopped = (): boolean => false,
  ): Promise<Delivery> {
    const look = (): void => {
      if (stopped()) throw new Stopped("the stream was aborted while it opened");
    };
    const delivery = new Delivery(init, sink, links);
    if (init.durability === "batch") delivery.#checkJournal();
    await sink.open(init.mode);
    look();
    await delivery.#journals?.begin();
    try {
      look();
      if (init.resume === undefined) await delivery.#publisher.publish();
      else await checkUnchanged(sink, init.resume);
    } catch (error) {
      // Nothing was written that could be recovered. The first failure is the one to report.
      await delivery.#journals?.clear().catch(() => {});
      throw error;
    }
    delivery.#idle();
    return delivery;
  }

  /**
   * Of a stream that is resumed: opens the row of shards that it goes on in, with what that row holds. The engine must
   * be heard meanwhile, since copying takes long and an abort ends it. A failure is the stream's.
   */
  async reopen(): Promise<void> {
    const { resume } = this.#init;
    if (resume === undefined || resume.rows === this.#g.rowCount) return;
    const { epochRows, epochsPerShard } = this.#g;
    const row = Math.floor(resume.rows / (epochsPerShard * epochRows));
    const rowFrom = row * epochsPerShard * epochRows;
    if (resume.rows === rowFrom) return;
    this.#reopening = this.#reopenRow(row, Math.floor((resume.rows - rowFrom) / epochRows)).catch((error) =>
      this.#fail(error),
    );
    this.#work(this.#reopening);
    await this.#order.shown("OUTPUT_RELEASED", this.#reopening);
  }

  async #reopenRow(row: number, keepEpochs: number): Promise<void> {
    const stopped = (): boolean => this.#aborted || this.#failed;
    if (stopped()) return;
    const current = await this.#openRow(row, true);
    this.#current = current;
    const { epochsPerBatch } = this.#init.memory.outputLayout;
    const { epochRows, epochsPerShard } = this.#g;
    const copy = await openCopy(current, this.#g, this.#sink, stopped);
    for (let from = 0; from < keepEpochs && !stopped(); from += epochsPerBatch) {
      const to = Math.min(keepEpochs, from + epochsPerBatch);
      await this.#order.wait("JOURNAL_AFTER_DATA", copy(from, to), undefined);
      if (!stopped()) await this.#commit(current, from, to - from, (row * epochsPerShard + to) * epochRows);
    }
  }

  private constructor(init: DeliveryInit, sink: Sink, links: DeliveryLinks) {
    this.#init = init;
    this.#g = init.geometry;
    this.#table = epochTable(init.geometry);
    this.#sink = sink;
    this.#links = links;
    this.#counters = new Counters(init.memory.counters);
    this.#order = new Ordering(init.ordering, new OwnerWaits(this.#counters, "delivery"));
    this.#output = new SlotRing(
      init.memory.outputControl,
      init.memory.output.length,
      this.#order,
      "JOIN_BEFORE_REFILL",
    );
    this.#rowsDurable = init.resume?.rows ?? 0;
    this.#untouched = init.resume !== undefined;
    this.#publisher = new Publisher({
      geometry: init.geometry,
      metadata: init.metadata,
      resume: init.resume,
      sink,
      counters: this.#counters,
      order: this.#order,
      durable: init.durability !== "none",
      intervalMs: init.publishIntervalMs,
      onPublished: (rows) => {
        this.#journals?.published(rows);
        links.toProducer({ type: "published", rows });
      },
      onFailed: (error) => this.#fail(error),
    });
    this.#journals =
      sink.journal &&
      new Journals({
        journal: sink.journal,
        geometry: init.geometry,
        durability: init.durability,
        chunksPerBatch: init.memory.outputLayout.chunksPerEpoch * init.memory.outputLayout.epochsPerBatch,
        counters: this.#counters,
        order: this.#order,
        onWarning: (message) => links.toProducer({ type: "warning", message }),
      });
  }

  /** For durability "batch". @throws MillraceError INVALID_OPTION */
  #checkJournal(): void {
    const { kind, location, journal } = this.#sink;
    if (journal === undefined) throw journalNeeded(kind, location);
    if (journal.batchWarning !== undefined) {
      this.#links.toProducer({ type: "warning", message: journal.batchWarning });
    }
  }

  /** From the engine. Work is queued behind the generations it depends on; nothing here blocks. */
  receive(message: ToDelivery): void {
    switch (message.type) {
      case "batch":
        this.#work(this.#job(message.batch));
        break;
      case "flush":
        this.#work(this.#flush(message.id, message.afterGeneration));
        break;
      case "abort":
        this.#aborted = true;
        this.#hurried ||= message.hurry;
        if (message.hurry) this.#sink.hurry?.();
        break;
      case "close":
        this.#work(this.#close(message.rows, message.afterGeneration));
        break;
      case "stop":
        this.#work(this.#close(undefined, message.afterGeneration));
        break;
    }
  }

  /** Without work, delivery waits for a batch. */
  #idle(): void {
    if (this.#working === 0 && !this.#stopped) void this.#order.shown("ENCODED", this.#begun.next());
  }

  #work(work: Promise<void>): void {
    this.#working++;
    this.#begun.notify();
    void work.finally(() => {
      this.#working--;
      this.#idle();
    });
  }

  /**
   * The engine's thread is gone, and with it every batch that has not come: what is here runs out and the sink is
   * closed.
   */
  engineLost(): void {
    this.#work(this.#runOut());
  }

  async #runOut(): Promise<void> {
    if (this.#ending) return;
    this.#aborted = true;
    await this.#order.shown("OUTPUT_RELEASED", this.#writing).catch(() => {});
    this.#nextTurn(Number.MAX_SAFE_INTEGER - 1);
    await this.#close(undefined, 0);
  }

  async #job(batch: HostBatch): Promise<void> {
    const { generation } = batch;
    await this.#order.wait("DELIVER_OLDEST_FIRST", this.#turnOf(generation), undefined);
    const slot = { index: batch.slotIndex, generation };
    try {
      this.#output.advance(slot, "ENCODED", "DELIVERING", "ENCODED");
      if (!this.#failed && !this.#aborted) {
        this.#writing = this.#write(batch);
        await this.#order.wait("OUTPUT_RELEASED", this.#writing, undefined);
        this.#counters.raise("rowsDelivered", batch.rowTo);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#links.toEngine({ type: "joined", generation });
      this.#nextTurn(generation);
    }
  }

  /** Settles only when the sink has retired every write of the batch. */
  async #write(batch: HostBatch): Promise<void> {
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

  async #openRow(row: number, isContinued = false): Promise<ShardRow> {
    // First: a shard that no journal tells of is one that recovery can only throw away.
    const journal = await this.#journals?.openRow(row);
    return new ShardRow(row, this.#g, this.#table, this.#sink, journal, this.#init, () => this.#hurried, isContinued);
  }

  async #append(row: ShardRow, batch: HostBatch, from: number, to: number, encoded: EncodedBytes): Promise<void> {
    const appended = row.append(
      batch,
      from,
      to,
      encoded,
      (bytes, write) => this.#countWrite(bytes, write),
      (bytes, enter) => this.#countChecksums(bytes, enter),
    );
    await (row.journal === undefined ? appended : this.#order.wait("JOURNAL_AFTER_DATA", appended, undefined));
  }

  /**
   * The epochs are with the sink: enters them into the journal, and at durability "batch" makes both survive a power
   * cut.
   */
  async #commit(row: ShardRow, firstEpoch: number, epochCount: number, rowTo: number): Promise<void> {
    if (row.journal !== undefined) {
      const committed = allSettled([
        row.journal.commit(firstEpoch, epochCount, rowTo),
        row.sync((sync) => this.#countSync(sync)),
      ]);
      await this.#order.wait("DURABLE_AFTER_COMMIT", committed, undefined);
    }
    // Behind the journal, which recovery goes by: what counts as delivered outlives the process. And before the seal,
    // which may be done before the rest of the batch: durable rows are delivered ones.
    this.#counters.raise("rowsDelivered", rowTo);
    if (row.journal !== undefined && this.#init.durability === "batch") this.#durableUpTo(rowTo);
  }

  async #countSync(sync: () => Promise<void>): Promise<void> {
    const from = nowNs();
    await sync();
    this.#counters.add("syncNs", nowNs() - from);
    this.#counters.add("syncCount", 1);
  }

  #countChecksums(bytes: number, enter: () => void): void {
    const from = nowNs();
    enter();
    this.#counters.add("checksumNs", nowNs() - from);
    this.#counters.add("checksumBytes", bytes);
  }

  async #countWrite(bytes: number, write: () => Promise<void>): Promise<void> {
    const from = nowNs();
    this.#counters.addPending(bytes);
    try {
      await write();
      this.#counters.add("bytesStored", bytes);
    } finally {
      this.#counters.retirePending(bytes);
      this.#counters.add("writeNs", nowNs() - from);
      this.#counters.add("writeCount", 1);
      this.#counters.add("writeBytes", bytes);
    }
  }

  /**
   * Starts sealing the current row, which ends at `rowTo`, and makes way for the next one: syncing a shard takes as
   * long as the disk needs, and the next row must not wait for it. Waits for the row before, so two rows are open at
   * most.
   */
  async #sealCurrent(rowTo: number): Promise<void> {
    const row = this.#current as ShardRow;
    await this.#sealed();
    if (this.#failed) return;
    this.#untouched = false;
    this.#current = undefined;
    this.#sealingRow = row;
    this.#sealing = this.#seal(row, rowTo).catch((error) => this.#fail(error));
  }

  async #seal(row: ShardRow, rowTo: number): Promise<void> {
    const rowsPerShard = this.#g.epochsPerShard * this.#g.epochRows;
    const rowFrom = row.row * rowsPerShard;
    // Also where the last batch completes the row: its last epoch may be padded.
    if (rowTo < rowFrom + rowsPerShard) {
      await this.#order.shown("PUBLISH_AFTER_DURABLE", this.#sink.announceEnd?.(rowTo) ?? Promise.resolve());
    }
    // Looked at first: sealed shards are forgotten.
    const { hasAllShards } = row;
    const sealed = row.seal((shard, seal) => this.#countSeal(shard, seal, rowFrom, rowTo));
    await this.#order.wait("PUBLISH_AFTER_DURABLE", sealed, undefined);
    this.#sealingRow = undefined;
    if (row.journal !== undefined) {
      try {
        await this.#order.wait("DURABLE_AFTER_COMMIT", row.journal.seal(rowTo), undefined);
      } catch (error) {
        // The shards are whole all the same: publishing them is what the end of the stream still can do.
        this.#fail(error);
        this.#publisher.want(rowTo);
        return;
      }
      this.#journals?.sealed(row.row);
    }
    await this.#raiseDurable(rowTo, hasAllShards);
    this.#publisher.want(rowTo);
  }

  /**
   * `listed`: the store's objects alone show that these rows are whole. What they cannot show is durable once it is
   * published.
   */
  async #raiseDurable(rows: number, listed: boolean): Promise<void> {
    if (this.#sink.announceEnd !== undefined && !listed) {
      this.#publisher.want(rows);
      await this.#publisher.publish();
    }
    this.#durableUpTo(rows);
  }

  /** At durability "batch" the row that is being written is ahead of the one that is being sealed. */
  #durableUpTo(rows: number): void {
    this.#rowsDurable = Math.max(this.#rowsDurable, rows);
    this.#counters.raise("rowsDurable", rows);
  }

  async #countSeal(shard: SealedShard, seal: () => Promise<void>, rowFrom: number, rowTo: number): Promise<void> {
    const from = nowNs();
    await seal();
    const indexBytes = this.#g.chunksPerShard * 16 + 4;
    this.#counters.add("bytesStored", indexBytes);
    this.#counters.add("sealNs", nowNs() - from);
    this.#counters.add("sealCount", 1);
    this.#counters.add("sealBytes", indexBytes);
    this.#counters.add("shardsSealed", 1);
    this.#links.toProducer({ type: "shard", key: shard.key, bytes: shard.bytes, rowFrom, rowTo });
  }

  async #flush(id: number, afterGeneration: number): Promise<void> {
    await this.#order.shown("DELIVER_OLDEST_FIRST", this.#turnOf(afterGeneration + 1));
    await this.#sealed();
    try {
      if (!this.#failed) await this.#publisher.publish();
    } catch (error) {
      this.#fail(error);
    }
    this.#links.toProducer({ type: "flushed", id });
  }

  /** Ends the stream. `rows` undefined: it was aborted, or it failed. */
  async #close(rows: number | undefined, afterGeneration: number): Promise<void> {
    await this.#order.shown("DELIVER_OLDEST_FIRST", this.#reopening);
    await this.#order.shown("DELIVER_OLDEST_FIRST", this.#turnOf(afterGeneration + 1));
    if (this.#ending) return;
    this.#ending = true;
    // An abort that came after the close has left batches unwritten: their rows must not be published.
    const complete = rows !== undefined && !this.#failed && !this.#aborted;
    if (complete && this.#current !== undefined) await this.#sealCurrent(rows);
    await this.#sealed();
    if (complete && !this.#failed) {
      // Nothing lies in the rows behind the last shard: they were skipped.
      await this.#raiseDurable(rows, this.#rowsDurable >= rows).catch((error) => this.#fail(error));
      this.#publisher.want(rows);
    }
    // On a full disk the open shards make room for the metadata: it makes whole shards visible, and they are in pieces.
    // Not where rows in them were promised.
    const keep = !this.#untouched && (!this.#diskFull || this.#init.durability === "batch");
    const last = [
      () => this.#current?.abandon(keep),
      () => this.#sealingRow?.abandon(keep),
      // Also after a failure: rows that were sealed before it are safe, and readers may see them.
      () => this.#publisher.publish(),
      () => this.#publisher.stop(),
      // A stream that was resumed and has come to nothing takes itself back: there is nothing to recover.
      () => ((complete && !this.#failed) || this.#untouched ? this.#journals?.clear() : this.#journals?.settled()),
      () => this.#sink.close(),
    ];
    for (const step of last) {
      try {
        await this.#order.shown("STOP_JOIN_BEFORE_RELEASE", Promise.resolve(step()));
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#stopped = true;
    this.#counters.raise("deliveryStopped", 1);
    this.#links.toEngine({ type: "stopped" });
    this.#links.toProducer({ type: "stopped" });
  }

  /** The shard row before the current one is sealed, or has failed. */
  #sealed(): Promise<void> {
    return this.#order.shown("PUBLISH_AFTER_DURABLE", this.#sealing);
  }

  /** Resolves when every generation before `generation` is done. */
  #turnOf(generation: number): Promise<void> {
    if (this.#turn >= generation) return Promise.resolve();
    return new Promise((resolve) => {
      const waiters = this.#waiting.get(generation);
      if (waiters === undefined) this.#waiting.set(generation, [resolve]);
      else waiters.push(resolve);
    });
  }

  #nextTurn(generation: number): void {
    if (generation < this.#turn) return;
    this.#turn = generation + 1;
    for (const [waited, waiters] of this.#waiting) {
      if (waited > this.#turn) continue;
      this.#waiting.delete(waited);
      for (const wake of waiters) wake();
    }
  }

  #fail(error: unknown): void {
    if (this.#failed || error instanceof Stopped) {
      this.#failed = true;
      if (this.#stopped || error instanceof Stopped) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#links.toProducer({ type: "warning", message: `after the first failure: ${message}` });
      return;
    }
    this.#failed = true;
    this.#counters.raise("failed", 1);
    const known = isMillraceError(error)
      ? error
      : new MillraceError("INTERNAL", `delivery failed: ${error instanceof Error ? error.message : String(error)}.`, {
          cause: error,
        });
    this.#diskFull = known.code === "DISK_FULL";
    this.#links.toProducer({ type: "failed", error: toWireError(known) });
  }
}
