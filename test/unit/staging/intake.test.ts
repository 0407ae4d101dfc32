import { expect, it } from "vitest";
import { Ordering } from "../../../src/slots/ordering.js";
import { type Slot, SlotRing, slotRingControlBytes } from "../../../src/slots/slot_ring.js";
import { WholeEpochs, wholeEpochsBytes } from "../../../src/slots/whole_epochs.js";
import { openCopier } from "../../../src/staging/copier.js";
import { Intake } from "../../../src/staging/intake.js";

const ROW = 4;
const EPOCH = 3 * ROW;

/** Rows of four bytes, epochs of three rows, slots of two epochs. The log has what the engine is told. */
function setUp(depth: number, totalRows = Number.POSITIVE_INFINITY, firstRow = 0, wholeEpochs?: WholeEpochs) {
  const order = new Ordering({ debug: true, off: [] });
  const ring = new SlotRing(new SharedArrayBuffer(slotRingControlBytes(depth)), depth, order, "STAGING_FREE");
  const slots = Array.from({ length: depth }, () => new Uint8Array(2 * EPOCH).fill(0xdd));
  const log: string[] = [];
  const filled: Slot[] = [];
  const intake = new Intake({
    ring,
    slots,
    copier: openCopier(slots, undefined, 0),
    order,
    wholeEpochs,
    onWaiting: (slot) => log.push(`waiting ${slot.generation}`),
    rowBytes: ROW,
    epochRows: 3,
    epochsPerBatch: 2,
    epochsPerShard: 4,
    totalBytesMax: totalRows * ROW,
    firstRow,
    fill: Uint8Array.of(7),
    onOpened: (slot, firstEpoch) => log.push(`open ${slot.generation} epoch ${firstEpoch}`),
    onSkipped: (from, to) => log.push(`skipped ${from} to ${to}`),
    onFilled: (slot, epochs, rowTo, skipped) => {
      log.push(`full ${slot.generation} epochs ${epochs} to ${rowTo}${skipped ? ` skipped ${skipped[0]}` : ""}`);
      filled.push(slot);
    },
  });
  const free = (): void => ring.release(filled.shift() as Slot, "FILLED");
  return { intake, slots, log, free };
}

const bytes = (from: number, to: number): Uint8Array => Uint8Array.from({ length: to - from }, (_, i) => from + i);

it("fills slot after slot and stops where none is free", () => {
  const { intake, slots, log, free } = setUp(2);
  const data = bytes(0, 60);
  expect(intake.put(data, 0)).toBe(48);
  expect(intake.put(data, 48)).toBe(0);
  expect(log).toEqual(["open 1 epoch 0", "full 1 epochs 2 to 6", "open 2 epoch 2", "full 2 epochs 2 to 12"]);
  expect([...slots[1]]).toEqual([...bytes(24, 48)]);
  free();
  expect(intake.put(data, 48)).toBe(12);
  expect([...slots[0].subarray(0, 12)]).toEqual([...bytes(48, 60)]);
  expect(intake.totalBytes).toBe(60);
});

it("lends what is left of a slot, and counts what is committed", () => {
  const { intake, slots } = setUp(1);
  intake.put(bytes(0, 14), 0);
  const room = intake.reserve(100) as Uint8Array;
  expect(room.byteLength).toBe(10);
  expect(intake.reservedBytes).toBe(10);
  expect(() => intake.checkCopied()).toThrow(expect.objectContaining({ code: "RESERVE_STATE" }));
  room.set(bytes(14, 24));
  intake.commit(6);
  expect([intake.totalBytes, intake.reservedBytes]).toEqual([20, 0]);
  expect((intake.reserve(2) as Uint8Array).byteLength).toBe(2);
  intake.commit(0);
  expect(intake.put(bytes(20, 99), 0)).toBe(4);
  expect([...slots[0]]).toEqual([...bytes(0, 20), ...bytes(20, 24)]);
  expect(intake.reserve(2)).toBeNull();
});

it("skips: whole epochs are marked and not touched, parts are filled", () => {
  const { intake, slots, log } = setUp(2);
  expect(intake.skip(3)).toBe(3);
  expect(intake.skip(1)).toBe(1);
  intake.put(bytes(0, 4), 0);
  expect(intake.skip(1 + 6 + 9)).toBe(7);
  expect(log.slice(0, 2)).toEqual(["open 1 epoch 0", "full 1 epochs 2 to 6 skipped 1"]);
  expect(log.at(-1)).toBe("full 2 epochs 2 to 12 skipped 3");
  expect([...slots[0]]).toEqual([...new Array(12).fill(0xdd), 7, 7, 7, 7, 0, 1, 2, 3, 7, 7, 7, 7]);
});

it("skips of parts that make up an epoch mark it too, and a last one that is not full", () => {
  const { intake, log } = setUp(1);
  for (let i = 0; i < 3; i++) intake.skip(1);
  intake.skip(2);
  expect(intake.finish()).toBe(0);
  expect(log.at(-1)).toBe("full 1 epochs 2 to 5 skipped 3");
});

it("ends a bounded array by itself", () => {
  const { intake, log } = setUp(2, 7);
  expect(intake.put(bytes(0, 28), 0)).toBe(28);
  expect(log.at(-1)).toBe("full 2 epochs 1 to 7");
  expect(intake.bytesLeft).toBe(0);
  expect(intake.finish()).toBe(0);
  expect(log.length).toBe(4);
});

it.each([1, 2])("split hands over whole epochs and keeps the rest, depth %i", (depth) => {
  const { intake, slots, log, free } = setUp(depth);
  intake.put(bytes(0, 10), 0);
  expect(intake.split()).toBe(true);
  expect(log).toEqual(["open 1 epoch 0"]);
  intake.put(bytes(10, 17), 0);
  expect(intake.split()).toBe(true);
  expect(log[1]).toBe("full 1 epochs 1 to 3");
  if (depth === 2) {
    // Twelve bytes fill the epoch; twelve more the slot, and one is left for a slot that is not free.
    expect(intake.put(bytes(17, 24), 0)).toBe(7);
    expect(intake.put(bytes(24, 40), 0)).toBe(12);
    expect([...slots[1]]).toEqual([...bytes(12, 36)]);
  }
  free();
  const left = depth === 2 ? bytes(36, 60) : bytes(17, 60);
  expect(intake.put(left, 0)).toBe(depth === 2 ? 24 : 19);
  expect([...slots[0]]).toEqual([...(depth === 2 ? bytes(36, 60) : bytes(12, 36))]);
});

it("split waits where the rest needs a slot and none is free", () => {
  const { intake, log, free } = setUp(2);
  intake.put(bytes(0, 24 + 14), 0);
  expect(intake.split()).toBe(false);
  expect(log.length).toBe(3);
  free();
  expect(intake.split()).toBe(true);
  expect(log.slice(3)).toEqual(["full 2 epochs 1 to 9", "open 3 epoch 3"]);
});

it("finish leaves out a row that is not whole", () => {
  const { intake, log } = setUp(1);
  intake.put(bytes(0, 18), 0);
  expect(intake.finish()).toBe(2);
  expect(log.at(-1)).toBe("full 1 epochs 2 to 4");
  expect(intake.totalBytes).toBe(16);
  const other = setUp(1);
  other.intake.put(bytes(0, 3), 0);
  expect(other.intake.finish()).toBe(3);
  expect(other.log.at(-1)).toBe("full 1 epochs 0 to 0");
});

it("finish waits for a slot when the rest lies beside a ring of one", () => {
  const { intake, log, free } = setUp(1);
  intake.put(bytes(0, 16), 0);
  expect(intake.split()).toBe(true);
  expect(intake.finish()).toBe(-1);
  free();
  expect(intake.finish()).toBe(0);
  expect(log.at(-1)).toBe("full 2 epochs 1 to 4");
});

it("goes on behind rows that are there, and takes back those of an epoch that was begun", () => {
  const { intake, slots, log } = setUp(2, Number.POSITIVE_INFINITY, 8);
  expect([intake.totalBytes, intake.acceptedBytes, intake.bytesToRestore]).toEqual([6 * ROW, 0, 2 * ROW]);
  const memory = intake.reserveRestored();
  memory.set(bytes(0, 8));
  intake.restore(false);
  expect([intake.totalBytes, intake.acceptedBytes, intake.bytesToRestore]).toEqual([8 * ROW, 0, 0]);
  expect(intake.put(bytes(8, 12), 0)).toBe(4);
  expect(intake.acceptedBytes).toBe(4);
  expect(intake.split()).toBe(true);
  expect(log).toEqual(["open 1 epoch 2", "full 1 epochs 1 to 9"]);
  expect([...slots[0].subarray(0, 12)]).toEqual([...bytes(0, 12)]);
  expect(intake.put(bytes(0, 4), 0)).toBe(4);
  expect(log[2]).toBe("open 2 epoch 3");
});

it.each([
  ["skipped to its end is not stored", true, 1, "full 1 epochs 1 to 9 skipped 1"],
  ["that has data is stored", false, 1, "full 1 epochs 1 to 9"],
])("an epoch that was begun by skipping and is %s", (_, skipped, rows, message) => {
  const { intake, log } = setUp(2, Number.POSITIVE_INFINITY, 8);
  intake.reserveRestored().fill(7);
  intake.restore(skipped);
  expect(intake.skip(rows)).toBe(rows);
  intake.split();
  expect(log.at(-1)).toBe(message);
});

it("stores an epoch that was begun by skipping once data follows", () => {
  const { intake, log } = setUp(2, Number.POSITIVE_INFINITY, 7);
  intake.reserveRestored().fill(7);
  intake.restore(true);
  intake.put(bytes(0, 4), 0);
  intake.skip(1);
  intake.split();
  expect(log.at(-1)).toBe("full 1 epochs 1 to 9");
});

it("an array that is full has nothing to take back, and no room", () => {
  const { intake, log } = setUp(2, 8, 8);
  expect([intake.bytesToRestore, intake.bytesLeft, intake.acceptedBytes]).toEqual([0, 0, 0]);
  expect(intake.finish()).toBe(0);
  expect(log).toEqual([]);
});

it("ends a bounded array where it ends, counted from its start", () => {
  const { intake, log } = setUp(2, 10, 8);
  intake.reserveRestored();
  intake.restore(false);
  expect(intake.bytesLeft).toBe(2 * ROW);
  intake.put(bytes(0, 8), 0);
  expect(log).toEqual(["open 1 epoch 2", "full 1 epochs 2 to 10"]);
});

it("counts whole epochs of the open slot, and tells once until somebody has looked", () => {
  const whole = new WholeEpochs(new SharedArrayBuffer(wholeEpochsBytes(1, 2)), 2);
  const { intake, log, free } = setUp(1, undefined, 0, whole);
  intake.put(bytes(0, EPOCH - 1), 0);
  expect([whole.look(0), ...log]).toEqual([0, "open 1 epoch 0"]);
  intake.put(bytes(0, 2), 0);
  expect([whole.look(0), log.at(-1)]).toEqual([1, "waiting 1"]);
  intake.put(bytes(0, 3), 0);
  // The slot's last byte makes it full: nothing waits.
  intake.put(bytes(0, EPOCH - 4), 0);
  expect(log.slice(2)).toEqual(["full 1 epochs 2 to 6"]);
  free();
  intake.skip(3);
  expect([whole.look(0), whole.skippedBetween(0, 0, 1), log.at(-1)]).toEqual([1, Uint8Array.of(1), "waiting 2"]);
});

it("tells of a whole epoch that one look has missed", () => {
  const whole = new WholeEpochs(new SharedArrayBuffer(wholeEpochsBytes(2, 40)), 40);
  whole.begin(1);
  whole.markSkipped(1, 33);
  expect([whole.count(1, 1), whole.count(1, 2), whole.look(1)]).toEqual([true, false, 2]);
  expect([whole.count(1, 34), whole.look(1), whole.look(0)]).toEqual([true, 34, 0]);
  expect([whole.skippedBetween(1, 0, 33), whole.skippedBetween(1, 32, 34)]).toEqual([undefined, Uint8Array.of(2)]);
});

it("passes slots by where rows of shards are skipped whole, and ends the batch that is open", () => {
  // A row of shards has twelve rows of the array, four batches are two of them.
  const { intake, log } = setUp(2);
  intake.put(bytes(0, 12 * ROW), 0);
  expect(log.splice(0)).toEqual(["open 1 epoch 0", "full 1 epochs 2 to 6", "open 2 epoch 2", "full 2 epochs 2 to 12"]);
  // No slot is free.
  expect(intake.skip(1e6 * 12 + 5)).toBe(1e6 * 12);
  expect(log.splice(0)).toEqual(["skipped 12 to 12000012"]);
  expect(intake.totalBytes).toBe(12_000_012 * ROW);
});

it("goes by slots where a skip begins or ends inside a row of shards, or is short", () => {
  const { intake, log, free } = setUp(2);
  intake.put(bytes(0, 9 * ROW), 0);
  expect(log.splice(0)).toEqual(["open 1 epoch 0", "full 1 epochs 2 to 6", "open 2 epoch 2"]);
  expect(intake.skip(3 + 24 + 1)).toBe(3 + 24);
  expect(log.splice(0)).toEqual(["full 2 epochs 2 to 12 skipped 2", "skipped 12 to 36"]);
  free();
  expect(intake.skip(1 + 22)).toBe(6);
  expect(log.splice(0)).toEqual(["open 3 epoch 12", "full 3 epochs 2 to 42 skipped 3"]);
});

it("hands over a batch that ends where the skip begins, also one of no epochs", () => {
  const { intake, log } = setUp(2, 12 + 24);
  intake.put(bytes(0, 9 * ROW), 0);
  intake.put(bytes(0, 3 * ROW), 0);
  log.length = 0;
  const next = setUp(2, 24);
  next.intake.reserve(1);
  next.intake.commit(0);
  expect(next.intake.skip(24)).toBe(24);
  expect(next.log).toEqual(["open 1 epoch 0", "full 1 epochs 0 to 0", "skipped 0 to 24"]);
  expect(next.intake.bytesLeft).toBe(0);
  expect(next.intake.finish()).toBe(0);
});
