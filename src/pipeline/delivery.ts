import { isMillraceError, MillraceError, toWireError } from "../base/errors.js";
import { Signal } from "../base/signal.js";
import type { HostBatch } from "../handoff/host_batch.js";
import type { Sink } from "../handoff/sink.js";
import { Counters } from "../metrics/counters.js";
import { OwnerWaits } from "../metrics/owner_waits.js";
import { Ordering } from "../slots/ordering.js";
import { SlotRing } from "../slots/slot_ring.js";
import { ArrayDelivery } from "./array_delivery.js";
import { DeliveryState } from "./delivery_state.js";
import type { DeliveryInit, DeliveryNews, FromDelivery, ToDelivery } from "./messages.js";
import { Stopped } from "./shard_row.js";
import { TurnQueue } from "./turn_queue.js";

interface DeliveryLinks {
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
  readonly #sink: Sink;
  readonly #links: DeliveryLinks;
  readonly #counters: Counters;
  readonly #order: Ordering;
  readonly #output: SlotRing;
  readonly #turns = new TurnQueue();
  readonly #state = new DeliveryState();
  readonly #array: ArrayDelivery;
  /** The write of the job whose turn it is. */
  #writing: Promise<void> = Promise.resolve();
  #reopening: Promise<void> = Promise.resolve();
  /** The last skip that was announced, until its turn comes. */
  #nextSkip: { readonly generation: number; rowTo: number } | undefined;
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
    if (init.durability === "batch") delivery.#array.checkJournal();
    await sink.open(init.mode);
    look();
    await delivery.#array.begin(look);
    delivery.#idle();
    return delivery;
  }

  /**
   * Of a stream that is resumed: opens the row of shards that it goes on in, with what that row holds. The engine must
   * be heard meanwhile, since copying takes long and an abort ends it. A failure is the stream's.
   */
  async reopen(): Promise<void> {
    const { resume, geometry: g } = this.#init;
    if (resume === undefined || resume.rows === g.rowCount) return;
    const row = Math.floor(resume.rows / (g.epochsPerShard * g.epochRows));
    const rowFrom = row * g.epochsPerShard * g.epochRows;
    if (resume.rows === rowFrom) return;
    this.#reopening = this.#array
      .reopenRow(row, Math.floor((resume.rows - rowFrom) / g.epochRows))
      .catch((error) => this.#fail(error));
    this.#work(this.#reopening);
    await this.#order.observed("OUTPUT_RELEASED", this.#reopening);
  }

  private constructor(init: DeliveryInit, sink: Sink, links: DeliveryLinks) {
    this.#init = init;
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
    this.#array = new ArrayDelivery({
      init,
      sink,
      state: this.#state,
      counters: this.#counters,
      order: this.#order,
      toProducer: (news) => links.toProducer(news),
      onFailed: (error) => this.#fail(error),
    });
  }

  /** From the engine. Work is queued behind the generations it depends on; nothing here blocks. */
  receive(message: ToDelivery): void {
    switch (message.type) {
      case "batch":
        this.#work(this.#job(message.batch));
        break;
      case "skipped":
        this.#skip(message.rowTo, message.afterGeneration + 1);
        break;
      case "flush":
        this.#work(this.#flush(message.id, message.afterGeneration));
        break;
      case "abort":
        this.#state.abort(message.hurry);
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
    if (this.#working === 0 && !this.#state.isStopped) void this.#order.observed("ENCODED", this.#begun.next());
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
    if (this.#state.isEnding) return;
    this.#state.abort(false);
    await this.#order.observed("OUTPUT_RELEASED", this.#writing).catch(() => {});
    this.#turns.end();
    await this.#close(undefined, 0);
  }

  async #job(batch: HostBatch): Promise<void> {
    const { generation } = batch;
    await this.#order.waitFor("DELIVER_OLDEST_FIRST", this.#turns.of(generation), undefined);
    const slot = { index: batch.slotIndex, generation };
    try {
      this.#output.advance(slot, "ENCODED", "DELIVERING", "ENCODED");
      if (this.#state.writes) {
        this.#writing = this.#array.write(batch);
        await this.#order.waitFor("OUTPUT_RELEASED", this.#writing, undefined);
        this.#counters.raise("rowsDelivered", batch.rowTo);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#links.toEngine({ type: "joined", generation });
      this.#turns.done(generation);
    }
  }

  /** Rows of shards that were skipped whole, up to `rowTo`, before `generation`. */
  #skip(rowTo: number, generation: number): void {
    if (this.#nextSkip?.generation === generation) {
      // A program that skips faster than shapes are published must not fill memory with messages.
      this.#nextSkip.rowTo = rowTo;
      return;
    }
    const skip = { generation, rowTo };
    this.#nextSkip = skip;
    const passed = this.#turns.before(generation, async () => {
      if (this.#nextSkip === skip) this.#nextSkip = undefined;
      if (!this.#state.writes) return;
      try {
        this.#writing = this.#array.passBy(skip.rowTo);
        await this.#writing;
      } catch (error) {
        this.#fail(error);
      }
    });
    this.#work(passed);
  }

  async #flush(id: number, afterGeneration: number): Promise<void> {
    await this.#order.observed("DELIVER_OLDEST_FIRST", this.#turns.of(afterGeneration + 1));
    await this.#array.sealed();
    try {
      if (!this.#state.hasFailed) await this.#array.publish();
    } catch (error) {
      this.#fail(error);
    }
    this.#links.toProducer({ type: "flushed", id });
  }

  /** Ends the stream. `rows` undefined: it was aborted, or it failed. */
  async #close(rows: number | undefined, afterGeneration: number): Promise<void> {
    await this.#order.observed("DELIVER_OLDEST_FIRST", this.#reopening);
    await this.#order.observed("DELIVER_OLDEST_FIRST", this.#turns.of(afterGeneration + 1));
    if (!this.#state.beginEnd()) return;
    // An abort that came after the close has left batches unwritten: their rows must not be published.
    const isComplete = rows !== undefined && this.#state.writes;
    await (isComplete ? this.#array.complete(rows) : this.#array.sealed());
    for (const step of [...this.#array.lastSteps(isComplete), () => this.#sink.close()]) {
      try {
        await this.#order.observed("STOP_JOIN_BEFORE_RELEASE", Promise.resolve(step()));
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#state.stop();
    this.#counters.raise("deliveryStopped", 1);
    this.#links.toEngine({ type: "stopped" });
    this.#links.toProducer({ type: "stopped" });
  }

  #fail(error: unknown): void {
    if (error instanceof Stopped) {
      this.#state.cutOff();
      return;
    }
    if (this.#state.hasFailed) {
      if (this.#state.isStopped) return;
      const message = error instanceof Error ? error.message : String(error);
      this.#links.toProducer({ type: "warning", message: `after the first failure: ${message}` });
      return;
    }
    const known = isMillraceError(error)
      ? error
      : new MillraceError("INTERNAL", `delivery failed: ${error instanceof Error ? error.message : String(error)}.`, {
          cause: error,
        });
    this.#state.fail(known.code === "DISK_FULL");
    this.#counters.raise("failed", 1);
    this.#links.toProducer({ type: "failed", error: toWireError(known) });
  }
}
