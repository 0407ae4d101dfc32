import { deferred } from "../base/deferred.js";
import { toWireError } from "../base/errors.js";
import { Signal } from "../base/signal.js";
import type { Backend } from "../handoff/backend.js";
import type { Counters } from "../metrics/counters.js";
import { type Ordering, poison } from "../slots/ordering.js";
import type { Slot, SlotRing } from "../slots/slot_ring.js";
import type { FromDelivery, FromEngine, ToDelivery, ToEngine } from "./messages.js";
import type { StreamMemory } from "./stream_memory.js";

/**
 * How batches move. `depth1`: a batch is encoded, delivered and joined before the next is looked at, so nothing ever queues.
 * `pipelined`: as many batches are in the backend as there are output slots.
 */
export type ScheduleMode = "pipelined" | "depth1";

export function scheduleMode(outputSlots: number): ScheduleMode {
  return outputSlots === 1 ? "depth1" : "pipelined";
}

interface OpenedBatch {
  readonly slot: Slot;
  readonly firstEpoch: number;
  readonly rowFrom: number;
  /** Known once the slot is filled; 0 before. */
  epochCount: number;
  rowTo: number;
  skippedEpochs: Uint8Array | undefined;
  isFilled: boolean;
  readonly filled: Promise<void>;
  readonly setFilled: () => void;
}

type Work = OpenedBatch | Extract<ToEngine, { type: "flush" | "close" }>;

export interface ScheduleInit {
  readonly backend: Backend;
  readonly staging: SlotRing;
  readonly output: SlotRing;
  readonly memory: StreamMemory;
  readonly counters: Counters;
  readonly order: Ordering;
  /** Of the first batch; default 0. */
  readonly firstRow?: number;
  readonly maxPendingBytes: number;
  readonly mode: ScheduleMode;
  toProducer(message: FromEngine): void;
  toDelivery(message: ToDelivery): void;
}

/**
 * The one place that decides when a batch is kicked. It takes work in the order the producer announced it, waits for the
 * slot to be full, for an output slot to be joined, and for the sink to keep up; then it kicks and goes on. What the backend
 * finishes goes to delivery at once. Thread: the engine's.
 */
export class Schedule {
  readonly #init: ScheduleInit;
  readonly #queue: Work[] = [];
  readonly #opened = new Map<number, OpenedBatch>();
  readonly #arrived = new Signal();
  readonly #joined = new Signal();
  readonly #inFlight = new Set<Promise<void>>();
  /** Output generations handed out; what a flush has to wait for. */
  #lastOutputGeneration = 0;
  #rowsEncoded: number;
  readonly #encodedAhead = new Map<number, number>();
  #failed = false;
  #aborted = false;

  constructor(init: ScheduleInit) {
    this.#init = init;
    this.#rowsEncoded = init.firstRow ?? 0;
  }

  /** From the producer. */
  receive(message: ToEngine): void {
    switch (message.type) {
      case "opened": {
        const filled = deferred();
        const slot = { index: message.index, generation: message.generation };
        const batch: OpenedBatch = {
          slot,
          firstEpoch: message.firstEpoch,
          rowFrom: message.rowFrom,
          epochCount: 0,
          rowTo: message.rowFrom,
          skippedEpochs: undefined,
          isFilled: false,
          filled: filled.promise,
          setFilled: filled.resolve,
        };
        this.#opened.set(message.generation, batch);
        this.#queue.push(batch);
        break;
      }
      case "filled": {
        const batch = this.#opened.get(message.generation);
        if (batch === undefined) return; // kicked too early: only with BATCH_FILLED off
        batch.epochCount = message.epochCount;
        batch.rowTo = message.rowTo;
        batch.skippedEpochs = message.skippedEpochs;
        batch.isFilled = true;
        batch.setFilled();
        break;
      }
      case "flush":
      case "close":
        this.#queue.push(message);
        break;
      case "abort":
        this.#aborted = true;
        this.#init.toDelivery({ type: "abort", hurry: message.hurry });
        if (message.hurry) this.#init.backend.hurry?.();
        for (const batch of this.#opened.values()) batch.setFilled();
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
   * Runs until the producer closed or aborted. On return the backend has nothing in flight and delivery was told the last word.
   * A failing batch does not end the loop: later slots are given back unread, so that nobody waits for ever.
   */
  async run(): Promise<void> {
    const { order } = this.#init;
    for (;;) {
      while (this.#queue.length === 0 && !this.#aborted) await order.shown("BATCH_FILLED", this.#arrived.next());
      if (this.#aborted) break;
      const work = await this.#next();
      if (work === undefined) continue;
      if ("type" in work) {
        // Delivery waits for every generation up to this one, so the marker may overtake batches still in the backend.
        this.#init.toDelivery({ ...work, afterGeneration: this.#lastOutputGeneration });
        if (work.type === "close") break;
      } else {
        await this.#kick(work);
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
    // A slot that is still being filled holds nothing that a flush waits for: the producer split it before it said so.
    const flush = this.#queue.findIndex((work) => "type" in work && work.type === "flush");
    if (flush >= 0) return this.#queue.splice(flush, 1)[0];
    const { order } = this.#init;
    await order.wait("BATCH_FILLED", Promise.race([head.filled, this.#arrived.next()]), undefined);
    return head.isFilled || !order.enforced("BATCH_FILLED") ? this.#queue.shift() : undefined;
  }

  async #kick(batch: OpenedBatch): Promise<void> {
    const { backend, staging, order } = this.#init;
    this.#opened.delete(batch.slot.generation);
    const empty = batch.epochCount === 0 && order.enforced("BATCH_FILLED");
    if (empty) {
      this.#freeStaging(batch.slot, "FILLED");
      return;
    }
    const outputSlot = await this.#acquireOutput();
    if (outputSlot === null) {
      this.#freeStaging(batch.slot, "FILLED");
      return;
    }
    await this.#sinkKeepsUp();
    this.#lastOutputGeneration = outputSlot.generation;
    staging.advance(batch.slot, "FILLED", "READING", "BATCH_FILLED");
    const encoded = backend.kick({
      stagingIndex: batch.slot.index,
      stagingGeneration: batch.slot.generation,
      outputIndex: outputSlot.index,
      outputGeneration: outputSlot.generation,
      firstEpoch: batch.firstEpoch,
      epochCount: batch.epochCount,
      rowFrom: batch.rowFrom,
      rowTo: batch.rowTo,
      skippedEpochs: batch.skippedEpochs,
    });
    const done = this.#whenEncoded(batch, outputSlot, encoded).finally(() => this.#inFlight.delete(done));
    this.#inFlight.add(done);
  }

  async #whenEncoded(batch: OpenedBatch, outputSlot: Slot, encoded: ReturnType<Backend["kick"]>): Promise<void> {
    const { order, output, memory } = this.#init;
    try {
      const early = {
        slotIndex: outputSlot.index,
        generation: outputSlot.generation,
        firstEpoch: batch.firstEpoch,
        epochCount: batch.epochCount,
        rowFrom: batch.rowFrom,
        rowTo: batch.rowTo,
        skippedEpochs: batch.skippedEpochs,
        encodeBusyNs: 0,
      };
      const hostBatch = await order.wait("ENCODED", encoded, early);
      this.#freeStaging(batch.slot, "READING");
      output.advance(outputSlot, "FILLING", "ENCODED", "ENCODED");
      this.#raiseEncoded(batch.rowFrom, batch.rowTo);
      this.#init.toDelivery({ type: "batch", batch: hostBatch });
    } catch (error) {
      this.#fail(error);
      this.#freeStaging(batch.slot, "READING");
      // Delivery still needs this generation's turn, or every later one would wait for it.
      memory.sizes[outputSlot.index].fill(0);
      output.advance(outputSlot, "FILLING", "ENCODED", "ENCODED");
      this.#init.toDelivery({
        type: "batch",
        batch: {
          slotIndex: outputSlot.index,
          generation: outputSlot.generation,
          firstEpoch: batch.firstEpoch,
          epochCount: 0,
          rowFrom: batch.rowFrom,
          rowTo: batch.rowFrom,
          skippedEpochs: undefined,
          encodeBusyNs: 0,
        },
      });
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
    const end = order.begin("JOIN_BEFORE_REFILL");
    while (slot === null && !this.#isOver) {
      await this.#joined.next();
      slot = output.tryAcquire();
    }
    end();
    return slot;
  }

  /** Holds the next kick while more bytes are pending in the sink than allowed. No timeout: a stalled sink stalls intake. */
  async #sinkKeepsUp(): Promise<void> {
    const { counters, maxPendingBytes, order } = this.#init;
    if (counters.get("sinkPendingBytes") <= maxPendingBytes) return;
    const end = order.begin("SINK_PENDING_BYTES");
    // More pending than allowed means that a write has not settled, so a join is still to come.
    while (counters.get("sinkPendingBytes") > maxPendingBytes && !this.#aborted) await this.#joined.next();
    end();
  }

  /** depth1: everything kicked is encoded, delivered and joined. */
  async #drained(): Promise<void> {
    const { order, output } = this.#init;
    await Promise.all(this.#inFlight);
    while (output.busy() > 0 && !this.#aborted) await order.shown("JOIN_BEFORE_REFILL", this.#joined.next());
  }

  #freeStaging(slot: Slot, from: "FILLED" | "READING"): void {
    const { staging, memory, order } = this.#init;
    if (order.debug) poison(memory.staging[slot.index]);
    staging.release(slot, from);
    this.#init.toProducer({ type: "stagingFree", generation: slot.generation });
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#init.counters.raise("failed", 1);
    // At once, not through the producer: later batches are encoded already, and rows behind a gap must not be published.
    this.#init.toDelivery({ type: "abort", hurry: false });
    this.#init.toProducer({ type: "failed", error: toWireError(error) });
  }
}
