import { toWireError } from "../base/errors.js";
import { Signal } from "../base/signal.js";
import type { Backend, StagedBatch } from "../handoff/backend.js";
import type { Counters } from "../metrics/counters.js";
import { type Ordering, poison } from "../slots/ordering.js";
import type { Slot, SlotRing } from "../slots/slot_ring.js";
import { WholeEpochs } from "../slots/whole_epochs.js";
import type { FromDelivery, FromEngine, ToDelivery, ToEngine } from "./messages.js";
import { StagedSlot } from "./staged_slot.js";
import type { StreamMemory } from "./stream_memory.js";

/**
 * How batches move. `depth1`: a batch is encoded, delivered and joined before the next is looked at, so nothing ever
 * queues. `pipelined`: as many batches are in the backend as there are output slots.
 */
type ScheduleMode = "pipelined" | "depth1";

export function scheduleMode(outputSlots: number): ScheduleMode {
  return outputSlots === 1 ? "depth1" : "pipelined";
}

type Skipped = Extract<ToEngine, { type: "skipped" }>;
type Work = StagedSlot | Skipped | Extract<ToEngine, { type: "flush" | "close" }>;

interface ScheduleInit {
  readonly backend: Backend;
  readonly staging: SlotRing;
  readonly output: SlotRing;
  readonly memory: StreamMemory;
  readonly counters: Counters;
  readonly order: Ordering;
  /** Of the first batch; default 0. */
  readonly firstRow?: number;
  readonly epochRows: number;
  readonly maxPendingBytes: number;
  /** 0: whole epochs wait until their slot is full. */
  readonly maxBatchAgeMs: number;
  readonly mode: ScheduleMode;
  toProducer(message: FromEngine): void;
  toDelivery(message: ToDelivery): void;
}

/**
 * The one place that decides when a batch is kicked. It takes work in the order the producer announced it, waits for
 * the slot to be full, for an output slot to be joined, and for the sink to keep up; then it kicks and goes on. What
 * the backend finishes goes to delivery at once. Thread: the engine's.
 */
export class Schedule {
  readonly #init: ScheduleInit;
  readonly #wholeEpochs: WholeEpochs;
  readonly #queue: Work[] = [];
  readonly #opened = new Map<number, StagedSlot>();
  readonly #arrived = new Signal();
  readonly #joined = new Signal();
  readonly #inFlight = new Set<Promise<void>>();
  /** Output generations handed out; what a flush has to wait for. */
  #lastOutputGeneration = 0;
  #rowsEncoded: number;
  readonly #encodedAhead = new Map<number, number>();
  /** The rows that were skipped last, one skip after the other. */
  #skippedFrom = 0;
  #skippedTo = 0;
  #failed = false;
  #aborted = false;

  constructor(init: ScheduleInit) {
    this.#init = init;
    this.#wholeEpochs = new WholeEpochs(init.memory.wholeEpochs, init.memory.outputLayout.epochsPerBatch);
    this.#rowsEncoded = init.firstRow ?? 0;
  }

  /** From the producer. */
  receive(message: ToEngine): void {
    switch (message.type) {
      case "opened": {
        const batch = new StagedSlot(message);
        this.#opened.set(message.generation, batch);
        this.#queue.push(batch);
        break;
      }
      case "waiting":
        if (!this.#aborted) {
          const { maxBatchAgeMs } = this.#init;
          this.#opened.get(message.generation)?.startAge(maxBatchAgeMs, () => this.#arrived.notify());
        }
        return;
      case "filled": {
        const batch = this.#opened.get(message.generation);
        if (batch === undefined) return; // kicked too early: only with BATCH_FILLED off
        batch.fill(message);
        break;
      }
      case "skipped":
        this.#queueSkipped(message);
        break;
      case "flush":
      case "close":
        this.#queue.push(message);
        break;
      case "abort":
        this.#aborted = true;
        this.#init.toDelivery({ type: "abort", hurry: message.hurry });
        if (message.hurry) this.#init.backend.hurry?.();
        for (const batch of this.#opened.values()) batch.wake();
        this.#joined.notify();
        break;
    }
    this.#arrived.notify();
  }

  /** From delivery: the job of an output slot is done, and the slot is the schedule's again. */
  receiveFromDelivery(message: Extract<FromDelivery, { type: "joined" }>): void {
    const { output, order } = this.#init;
    const slot = { index: (message.generation - 1) % output.depth, generation: message.generation };
    if (order.debug) poison(this.#init.memory.output[slot.index]);
    output.release(slot, "DELIVERING");
    this.#joined.notify();
  }

  /**
   * Runs until the producer closed or aborted. On return the backend has nothing in flight and delivery was told the
   * last word. A failing batch does not end the loop: later slots are given back unread, so that nobody waits for ever.
   */
  async run(): Promise<void> {
    const { order } = this.#init;
    for (;;) {
      while (this.#queue.length === 0 && !this.#aborted) await order.observed("BATCH_FILLED", this.#arrived.next());
      if (this.#aborted) break;
      const work = await this.#next();
      if (work === undefined) continue;
      if ("type" in work) {
        if (work.type === "skipped") this.#passSkipped(work);
        // Delivery waits for every generation up to this one, so the message may overtake batches still in the backend.
        this.#init.toDelivery({ ...work, afterGeneration: this.#lastOutputGeneration });
        if (work.type === "close") break;
      } else {
        await (work.isDue ? this.#kickWhole(work) : this.#kick(work));
        if (this.#init.mode === "depth1") await this.#drained();
      }
    }
    await Promise.all(this.#inFlight);
    if (this.#aborted) this.#init.toDelivery({ type: "stop", afterGeneration: this.#lastOutputGeneration });
  }

  /** The next piece of work that can go on; undefined: look again. */
  async #next(): Promise<Work | undefined> {
    const head = this.#queue[0];
    if ("type" in head || head.isFilled) return this.#queue.shift();
    if (head.isDue) return head;
    // A slot that is still being filled holds nothing that a flush waits for: the producer split it before it said so.
    const flush = this.#queue.findIndex((work) => "type" in work && work.type === "flush");
    if (flush >= 0) return this.#queue.splice(flush, 1)[0];
    const { order } = this.#init;
    await order.waitFor("BATCH_FILLED", Promise.race([head.filled, this.#arrived.next()]), undefined);
    return head.isFilled || !order.enforced("BATCH_FILLED") ? this.#queue.shift() : undefined;
  }

  /** Skips that follow each other are one piece of work: a program that only skips never waits for a slot. */
  #queueSkipped(message: Skipped): void {
    const last = this.#queue.at(-1);
    if (last !== undefined && "type" in last && last.type === "skipped") {
      this.#queue[this.#queue.length - 1] = { ...last, rowTo: message.rowTo };
    } else this.#queue.push(message);
  }

  /** The same of those that wait for batches before them to be encoded. */
  #passSkipped({ rowFrom, rowTo }: Skipped): void {
    if (rowFrom !== this.#skippedTo || !this.#encodedAhead.has(this.#skippedFrom)) this.#skippedFrom = rowFrom;
    this.#skippedTo = rowTo;
    this.#raiseEncoded(this.#skippedFrom, rowTo);
  }

  /** The last part of a slot, which is all of it but for epochs that were kicked for their age. */
  async #kick(batch: StagedSlot): Promise<void> {
    const { order } = this.#init;
    this.#opened.delete(batch.slot.generation);
    const isEmpty = batch.epochCount <= batch.taken && order.enforced("BATCH_FILLED");
    const outputSlot = isEmpty ? null : await this.#acquireOutput();
    if (outputSlot !== null) await this.#sinkKeepsUp();
    this.#init.staging.advance(batch.slot, "FILLED", "READING", "BATCH_FILLED");
    batch.isSealed = true;
    if (outputSlot === null) this.#freeIfRead(batch);
    else this.#kickEpochs(batch, outputSlot, batch.epochCount, batch.rowTo, batch.skippedFrom(batch.taken));
  }

  /** What of a slot has waited long enough, while the producer goes on with the epochs behind it. */
  async #kickWhole(batch: StagedSlot): Promise<void> {
    batch.isDue = false;
    const { index } = batch.slot;
    if (this.#isOver || this.#look(index) <= batch.taken) return;
    const outputSlot = await this.#acquireOutput();
    if (outputSlot === null) return;
    await this.#sinkKeepsUp();
    // Again: there may be more of them now.
    const to = this.#look(index);
    const rowTo = batch.rowFrom + to * this.#init.epochRows;
    this.#kickEpochs(batch, outputSlot, to, rowTo, this.#wholeEpochs.skippedBetween(index, batch.taken, to));
  }

  #look(stagingIndex: number): number {
    const { order, memory } = this.#init;
    const whole = this.#wholeEpochs.look(stagingIndex);
    return order.enforced("EPOCHS_WHOLE") ? whole : Math.min(whole + 1, memory.outputLayout.epochsPerBatch);
  }

  #kickEpochs(batch: StagedSlot, outputSlot: Slot, to: number, rowTo: number, skippedEpochs?: Uint8Array): void {
    const from = batch.taken;
    batch.taken = to;
    batch.reading++;
    this.#lastOutputGeneration = outputSlot.generation;
    const staged: StagedBatch = {
      stagingIndex: batch.slot.index,
      stagingGeneration: batch.slot.generation,
      stagingEpoch: from,
      slotIsOpen: !batch.isSealed,
      outputIndex: outputSlot.index,
      outputGeneration: outputSlot.generation,
      firstEpoch: batch.firstEpoch + from,
      epochCount: to - from,
      rowFrom: batch.rowFrom + from * this.#init.epochRows,
      rowTo,
      skippedEpochs,
    };
    const encoded = this.#init.backend.kick(staged);
    const done = this.#whenEncoded(batch, staged, outputSlot, encoded).finally(() => this.#inFlight.delete(done));
    this.#inFlight.add(done);
  }

  async #whenEncoded(
    batch: StagedSlot,
    staged: StagedBatch,
    outputSlot: Slot,
    encoded: ReturnType<Backend["kick"]>,
  ): Promise<void> {
    const { order, output, memory } = this.#init;
    const { firstEpoch, epochCount, rowFrom, rowTo } = staged;
    const where = { slotIndex: outputSlot.index, generation: outputSlot.generation, firstEpoch, rowFrom };
    try {
      await order.waitFor("ENCODED", encoded, undefined);
      this.#isRead(batch);
      output.advance(outputSlot, "FILLING", "ENCODED", "ENCODED");
      this.#raiseEncoded(rowFrom, rowTo);
      this.#init.toDelivery({ type: "batch", batch: { ...where, epochCount, rowTo } });
    } catch (error) {
      this.#fail(error);
      this.#isRead(batch);
      // Delivery still needs this generation's turn, or every later one would wait for it.
      memory.sizes[outputSlot.index].fill(0);
      output.advance(outputSlot, "FILLING", "ENCODED", "ENCODED");
      this.#init.toDelivery({ type: "batch", batch: { ...where, epochCount: 0, rowTo: rowFrom } });
    }
  }

  /** Batches finish in any order; the watermark only passes rows with nothing missing before them. */
  #raiseEncoded(rowFrom: number, rowTo: number): void {
    this.#encodedAhead.set(rowFrom, rowTo);
    for (;;) {
      const next = this.#encodedAhead.get(this.#rowsEncoded);
      if (next === undefined) break;
      this.#encodedAhead.delete(this.#rowsEncoded);
      this.#rowsEncoded = next;
    }
    this.#init.counters.raise("rowsEncoded", this.#rowsEncoded);
  }

  /** What is kicked from here on would only be thrown away. Of delivery's failure the shared word tells at once. */
  get #isOver(): boolean {
    return this.#aborted || this.#init.counters.hasFailed;
  }

  /** An output slot whose last job was joined; null once the stream is aborted or has failed. */
  async #acquireOutput(): Promise<Slot | null> {
    const { output, order } = this.#init;
    if (this.#isOver) return null;
    let slot = output.tryAcquire();
    if (slot !== null) return slot;
    const end = order.startWait("JOIN_BEFORE_REFILL");
    while (slot === null && !this.#isOver) {
      await this.#joined.next();
      slot = output.tryAcquire();
    }
    end();
    return slot;
  }

  /**
   * Holds the next kick while more bytes are pending in the sink than allowed. No timeout: a stalled sink stalls
   * intake.
   */
  async #sinkKeepsUp(): Promise<void> {
    const { counters, maxPendingBytes, order } = this.#init;
    if (counters.get("sinkPendingBytes") <= maxPendingBytes) return;
    const end = order.startWait("SINK_PENDING_BYTES");
    // More pending than allowed means that a write has not settled, so a join is still to come.
    while (counters.get("sinkPendingBytes") > maxPendingBytes && !this.#aborted) await this.#joined.next();
    end();
  }

  /** depth1: everything kicked is encoded, delivered and joined. */
  async #drained(): Promise<void> {
    const { order, output } = this.#init;
    await Promise.all(this.#inFlight);
    while (output.busy() > 0 && !this.#aborted) await order.observed("JOIN_BEFORE_REFILL", this.#joined.next());
  }

  #isRead(batch: StagedSlot): void {
    batch.reading--;
    this.#freeIfRead(batch);
  }

  /** STAGING_FREE: every part of the slot was read, and no part is to come. */
  #freeIfRead({ slot, isSealed, reading }: StagedSlot): void {
    if (!isSealed || reading > 0) return;
    const { staging, memory, order } = this.#init;
    if (order.debug) poison(memory.staging[slot.index]);
    staging.release(slot, "READING");
    this.#init.toProducer({ type: "stagingFree", generation: slot.generation });
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#init.counters.raise("failed", 1);
    // At once, not through the producer: later batches are encoded already, and rows behind a gap must not be
    // published.
    this.#init.toDelivery({ type: "abort", hurry: false });
    this.#init.toProducer({ type: "failed", error: toWireError(error) });
  }
}
