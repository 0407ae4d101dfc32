import { beforeEach, expect, it } from "vitest";
import type { Backend, StagedBatch } from "../../../src/handoff/backend.js";
import { type CountedRule, ORDERING_COUNTED_RULES } from "../../../src/metrics/counted_rules.js";
import { Counters } from "../../../src/metrics/counters.js";
import { OwnerWaits } from "../../../src/metrics/owner_waits.js";
import type { FromEngine, ToDelivery } from "../../../src/pipeline/messages.js";
import { Schedule, scheduleMode } from "../../../src/pipeline/schedule.js";
import { allocateStreamMemory } from "../../../src/pipeline/stream_memory.js";
import { Ordering } from "../../../src/slots/ordering.js";
import { type Slot, SlotRing } from "../../../src/slots/slot_ring.js";
import { WholeEpochs } from "../../../src/slots/whole_epochs.js";

/** A backend that finishes when the test says so. */
class HeldBackend implements Backend {
  readonly kind = "cpu";
  readonly adapter = "held";
  readonly kicked = new Map<number, { finish: () => void; fail: (error: unknown) => void }>();
  readonly batches: StagedBatch[] = [];
  kick(b: StagedBatch): Promise<void> {
    this.batches.push(b);
    return new Promise((resolve, reject) => {
      this.kicked.set(b.outputGeneration, { finish: resolve, fail: reject });
    });
  }
  async close(): Promise<void> {}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Batches of one epoch of two rows. */
function setUp(depth: number, maxPendingBytes = Number.POSITIVE_INFINITY, epochsPerBatch = 1) {
  const memory = allocateStreamMemory({
    stagingSlots: depth,
    stagingSlotBytes: 64,
    outputSlots: depth,
    outputLayout: { slotBytes: 64, chunkStrideBytes: 64, chunksPerEpoch: 1, epochsPerBatch },
  });
  const counters = new Counters(memory.counters);
  const order = new Ordering({ debug: true, off: [] }, new OwnerWaits(counters, "engine"));
  // As the producer, the engine and delivery see them.
  const staging = new SlotRing(memory.stagingControl, depth, order, "STAGING_FREE");
  const delivered = new SlotRing(memory.outputControl, depth, order, "JOIN_BEFORE_REFILL");
  const backend = new HeldBackend();
  const toProducer: FromEngine[] = [];
  const toDelivery: ToDelivery[] = [];
  const schedule = new Schedule({
    backend,
    staging: new SlotRing(memory.stagingControl, depth, order, "STAGING_FREE"),
    output: new SlotRing(memory.outputControl, depth, order, "JOIN_BEFORE_REFILL"),
    memory,
    counters,
    order,
    epochRows: 2,
    maxBatchAgeMs: 1,
    maxPendingBytes,
    mode: scheduleMode(depth),
    toProducer: (message) => toProducer.push(message),
    toDelivery: (message) => toDelivery.push(message),
  });
  const slots = new Map<number, Slot>();
  const open = (): number => {
    const slot = staging.tryAcquire() as Slot;
    slots.set(slot.generation, slot);
    schedule.receive({ type: "opened", ...slot, firstEpoch: slot.generation - 1, rowFrom: (slot.generation - 1) * 2 });
    return slot.generation;
  };
  const fill = (generation: number): void => {
    staging.advance(slots.get(generation) as Slot, "FILLING", "FILLED", "STAGING_COPIED");
    schedule.receive({ type: "filled", generation, epochCount: 1, rowTo: generation * 2, skippedEpochs: undefined });
  };
  const join = (generation: number): void => {
    delivered.advance({ index: (generation - 1) % depth, generation }, "ENCODED", "DELIVERING", "ENCODED");
    schedule.receiveFromDelivery({ type: "joined", generation });
  };
  const batches = (): number[] => toDelivery.flatMap((m) => (m.type === "batch" ? [m.batch.generation] : []));
  const kicked = (): number[] => [...backend.kicked.keys()];
  const freed = (): number[] => toProducer.flatMap((m) => (m.type === "stagingFree" ? [m.generation] : []));
  const waits = (): CountedRule[] => ORDERING_COUNTED_RULES.filter((rule) => counters.waitingSince("engine", rule) > 0);
  return {
    schedule,
    backend,
    counters,
    memory,
    staging,
    slots,
    open,
    fill,
    join,
    batches,
    kicked,
    freed,
    waits,
    toProducer,
    toDelivery,
  };
}

let s: ReturnType<typeof setUp>;
beforeEach(() => {
  s = setUp(2);
});

it("kicks nothing before it is full, and then at once", async () => {
  const running = s.schedule.run();
  await turn();
  expect(s.waits()).toEqual(["BATCH_FILLED"]);
  s.open();
  await turn();
  expect([s.kicked(), s.waits()]).toEqual([[], ["BATCH_FILLED"]]);
  s.fill(1);
  await turn();
  expect([s.kicked(), s.waits()]).toEqual([[1], ["BATCH_FILLED", "ENCODED"]]);
  s.backend.kicked.get(1)?.finish();
  await turn();
  expect(s.waits()).toEqual(["BATCH_FILLED"]);
  expect([s.freed(), s.batches(), s.counters.get("rowsEncoded")]).toEqual([[1], [1], 2]);
  s.schedule.receive({ type: "close", rows: 2 });
  await running;
  expect(s.waits()).toEqual([]);
  expect(s.toDelivery.at(-1)).toEqual({ type: "close", rows: 2, afterGeneration: 1 });
});

it("has one batch an output slot in flight, and waits for a join before the next", async () => {
  void s.schedule.run();
  for (const generation of [s.open(), s.open()]) s.fill(generation);
  await turn();
  expect(s.kicked()).toEqual([1, 2]);
  // They finish out of order; rows count as encoded when nothing is missing before them.
  s.backend.kicked.get(2)?.finish();
  await turn();
  expect([s.batches(), s.counters.get("rowsEncoded")]).toEqual([[2], 0]);
  s.backend.kicked.get(1)?.finish();
  await turn();
  expect([s.batches(), s.counters.get("rowsEncoded")]).toEqual([[2, 1], 4]);
  s.fill(s.open());
  await turn();
  expect([s.kicked(), s.waits()]).toEqual([[1, 2], ["JOIN_BEFORE_REFILL"]]);
  s.join(1);
  await turn();
  expect([s.kicked(), s.waits()]).toEqual([
    [1, 2, 3],
    ["BATCH_FILLED", "ENCODED"],
  ]);
  // The whole wait, once: a time that were added for each look would be twice as long.
  expect(s.counters.wait("JOIN_BEFORE_REFILL").count).toBe(1);
});

it("depth 1 looks at nothing more before the batch is joined", async () => {
  s = setUp(1);
  const running = s.schedule.run();
  s.fill(s.open());
  s.schedule.receive({ type: "flush", id: 4 });
  await turn();
  s.backend.kicked.get(1)?.finish();
  await turn();
  expect([s.toDelivery.map((m) => m.type), s.waits()]).toEqual([["batch"], ["JOIN_BEFORE_REFILL"]]);
  s.join(1);
  await turn();
  expect(s.toDelivery.map((m) => m.type)).toEqual(["batch", "flush"]);
  s.schedule.receive({ type: "close", rows: 2 });
  await running;
});

it("a flush passes a slot that is still being filled, and not one that is full", async () => {
  void s.schedule.run();
  s.fill(s.open());
  s.open();
  s.schedule.receive({ type: "flush", id: 9 });
  await turn();
  expect(s.toDelivery).toEqual([{ type: "flush", id: 9, afterGeneration: 1 }]);
  expect(s.kicked()).toEqual([1]);
});

it("holds the next kick while the sink has more pending than allowed", async () => {
  s = setUp(3, 100);
  void s.schedule.run();
  s.fill(s.open());
  await turn();
  s.backend.kicked.get(1)?.finish();
  await turn();
  s.counters.addPending(101);
  s.fill(s.open());
  await turn();
  expect([s.kicked(), s.waits()]).toEqual([[1], ["SINK_PENDING_BYTES"]]);
  s.counters.retirePending(1);
  s.join(1);
  await turn();
  expect(s.kicked()).toEqual([1, 2]);
});

it("abort kicks no more, waits for what is kicked, and has the last word", async () => {
  let ended = false;
  const running = s.schedule.run().then(() => {
    ended = true;
  });
  s.fill(s.open());
  await turn();
  s.fill(s.open());
  s.schedule.receive({ type: "abort", hurry: true });
  await turn();
  expect(ended).toBe(false);
  for (const { finish } of s.backend.kicked.values()) finish();
  await running;
  expect(s.toDelivery[0]).toEqual({ type: "abort", hurry: true });
  expect(s.toDelivery.at(-1)).toEqual({ type: "stop", afterGeneration: s.kicked().length });
  expect(s.batches()).toEqual(s.kicked());
});

it.each(["a slot", "the sink"])("abort wakes a schedule that waits for %s", async (what) => {
  s = setUp(2, 10);
  const running = s.schedule.run();
  for (const generation of [s.open(), s.open()]) s.fill(generation);
  if (what === "the sink") s.counters.addPending(50);
  await turn();
  for (const { finish } of s.backend.kicked.values()) finish();
  await turn();
  if (what === "a slot") s.fill(s.open());
  await turn();
  s.schedule.receive({ type: "abort", hurry: true });
  await turn();
  for (const { finish } of s.backend.kicked.values()) finish();
  await running;
});

it("a batch that fails stops delivery before any later one reaches it, and later slots come back unread", async () => {
  const running = s.schedule.run();
  for (const generation of [s.open(), s.open()]) s.fill(generation);
  await turn();
  s.backend.kicked.get(1)?.fail(new Error("codec broke"));
  await turn();
  s.backend.kicked.get(2)?.finish();
  await turn();
  expect(s.toDelivery.map((m) => m.type)).toEqual(["abort", "batch", "batch"]);
  expect(s.toDelivery[1]).toMatchObject({ batch: { generation: 1, epochCount: 0, rowTo: 0 } });
  expect(s.counters.get("rowsEncoded")).toBe(0);
  s.fill(s.open());
  await turn();
  expect(s.kicked()).toEqual([1, 2]);
  expect(s.freed()).toEqual([1, 2, 3]);
  expect(s.toProducer.filter((m) => m.type === "failed").length).toBe(1);
  s.schedule.receive({ type: "abort", hurry: true });
  await running;
});

it("kicks nothing more once delivery has failed, though no message says so", async () => {
  void s.schedule.run();
  s.counters.raise("failed", 1);
  s.fill(s.open());
  await turn();
  expect([s.kicked(), s.freed(), s.toDelivery]).toEqual([[], [1], []]);
  s.schedule.receive({ type: "abort", hurry: true });
});

it("kicks whole epochs of an open slot when they are due, and frees it when all of its parts were read", async () => {
  s = setUp(2, undefined, 4);
  const whole = new WholeEpochs(s.memory.wholeEpochs, 4);
  const running = s.schedule.run();
  const generation = s.open();
  whole.begin(0);
  whole.markSkipped(0, 1);
  expect(whole.count(0, 2)).toBe(true);
  s.schedule.receive({ type: "waiting", generation });
  while (s.kicked().length === 0) await turn();
  expect(s.backend.batches[0]).toMatchObject({ stagingEpoch: 0, slotIsOpen: true, firstEpoch: 0, epochCount: 2 });
  expect(s.backend.batches[0]).toMatchObject({ rowFrom: 0, rowTo: 4, skippedEpochs: Uint8Array.of(2) });
  s.staging.advance(s.slots.get(1) as Slot, "FILLING", "FILLED", "STAGING_COPIED");
  s.schedule.receive({ type: "filled", generation, epochCount: 4, rowTo: 7, skippedEpochs: Uint8Array.of(0b1010) });
  await turn();
  expect(s.backend.batches[1]).toMatchObject({ stagingEpoch: 2, slotIsOpen: false, firstEpoch: 2, epochCount: 2 });
  expect(s.backend.batches[1]).toMatchObject({ rowFrom: 4, rowTo: 7, skippedEpochs: Uint8Array.of(0b10) });
  s.backend.kicked.get(2)?.finish();
  await turn();
  expect([s.freed(), s.batches(), s.counters.get("rowsEncoded")]).toEqual([[], [2], 0]);
  s.backend.kicked.get(1)?.finish();
  await turn();
  expect([s.freed(), s.batches(), s.counters.get("rowsEncoded")]).toEqual([[1], [2, 1], 7]);
  s.schedule.receive({ type: "close", rows: 7 });
  await running;
});

it("keeps one piece of work for skips that follow each other, however long it waits", async () => {
  void s.schedule.run();
  for (const generation of [s.open(), s.open()]) s.fill(generation);
  await turn();
  for (const { finish } of s.backend.kicked.values()) finish();
  await turn();
  // No output slot is free for the third batch, so the skips wait behind it.
  s.fill(s.open());
  for (let row = 6; row < 1006; row += 10) s.schedule.receive({ type: "skipped", rowFrom: row, rowTo: row + 10 });
  s.schedule.receive({ type: "flush", id: 1 });
  for (let row = 1006; row < 1106; row += 10) s.schedule.receive({ type: "skipped", rowFrom: row, rowTo: row + 10 });
  await turn();
  expect(s.toDelivery.map((m) => m.type)).toEqual(["batch", "batch"]);
  s.join(1);
  await turn();
  expect(s.toDelivery.slice(2)).toEqual([
    { type: "skipped", rowFrom: 6, rowTo: 1006, afterGeneration: 3 },
    { type: "flush", id: 1, afterGeneration: 3 },
    { type: "skipped", rowFrom: 1006, rowTo: 1106, afterGeneration: 3 },
  ]);
  expect(s.counters.get("rowsEncoded")).toBe(4);
  s.backend.kicked.get(3)?.finish();
  await turn();
  expect(s.counters.get("rowsEncoded")).toBe(1106);
});

it("counts rows that are skipped one range after the other as encoded, before and behind batches", async () => {
  void s.schedule.run();
  const encoded: number[] = [];
  const skip = async (rowFrom: number, rowTo: number): Promise<void> => {
    s.schedule.receive({ type: "skipped", rowFrom, rowTo });
    await turn();
    encoded.push(s.counters.get("rowsEncoded"));
  };
  s.fill(s.open());
  await turn();
  await skip(2, 12);
  await skip(12, 22);
  s.backend.kicked.get(1)?.finish();
  await turn();
  await skip(22, 32);
  await skip(32, 42);
  expect(encoded).toEqual([0, 0, 32, 42]);
});
