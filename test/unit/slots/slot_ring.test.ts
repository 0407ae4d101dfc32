import fc from "fast-check";
import { expect, it } from "vitest";
import { Ordering } from "../../../src/slots/ordering.js";
import { type Slot, SlotRing, slotRingControlBytes } from "../../../src/slots/slot_ring.js";

const order = new Ordering({ debug: true, off: [] });

function ring(depth: number, off: readonly "STAGING_FREE"[] = []) {
  const control = new SharedArrayBuffer(slotRingControlBytes(depth));
  return { control, ring: new SlotRing(control, depth, new Ordering({ debug: true, off }), "STAGING_FREE") };
}

it("hands out slots in turn, with generations from 1, and null while the next one is in use", () => {
  const { ring: r } = ring(2);
  expect(r.peek()).toEqual({ index: 0, generation: 1 });
  const a = r.tryAcquire() as Slot;
  const b = r.tryAcquire() as Slot;
  expect([a, b]).toEqual([
    { index: 0, generation: 1 },
    { index: 1, generation: 2 },
  ]);
  expect(r.tryAcquire()).toBeNull();
  // The second is free, but it is the first one's turn.
  r.release(b, "FILLING");
  expect(r.tryAcquire()).toBeNull();
  r.release(a, "FILLING");
  expect(r.tryAcquire()).toEqual({ index: 0, generation: 3 });
  expect([r.busy(), r.busyPeak()]).toEqual([1, 2]);
});

it("shares states with a ring on another thread over the same memory", () => {
  const { control, ring: r } = ring(3);
  const other = new SlotRing(control, 3, order, "STAGING_FREE");
  const slot = r.tryAcquire() as Slot;
  r.advance(slot, "FILLING", "FILLED", "STAGING_COPIED");
  expect([other.state(0), other.generation(0), other.busy()]).toEqual(["FILLED", 1, 1]);
  other.advance(slot, "FILLED", "READING", "BATCH_FILLED");
  other.release(slot, "READING");
  expect(r.state(0)).toBe("FREE");
});

it("refuses a stale holder and a wrong state, and names the rule", () => {
  const { ring: r } = ring(1);
  const old = r.tryAcquire() as Slot;
  expect(() => r.advance(old, "FILLED", "READING", "BATCH_FILLED")).toThrow(
    expect.objectContaining({ code: "ORDERING_VIOLATION", message: expect.stringContaining("BATCH_FILLED") }),
  );
  r.release(old, "FILLING");
  expect(() => r.release(old, "FILLING")).toThrow(expect.objectContaining({ code: "ORDERING_VIOLATION" }));
  r.tryAcquire();
  expect(() => r.advance(old, "FILLING", "FILLED", "STAGING_COPIED")).toThrow(
    expect.objectContaining({
      code: "ORDERING_VIOLATION",
      context: { rule: "STAGING_COPIED", slot: 0, generation: 1 },
    }),
  );
});

it("with its rule off it hands out what is in use", () => {
  const { ring: r } = ring(1, ["STAGING_FREE"]);
  r.tryAcquire();
  expect(r.tryAcquire()).toEqual({ index: 0, generation: 2 });
});

it("refuses a depth or a control block that is none", () => {
  expect(() => new SlotRing(new SharedArrayBuffer(4), 1, order, "STAGING_FREE")).toThrow(/control block/);
  expect(() => new SlotRing(new SharedArrayBuffer(999), 0, order, "STAGING_FREE")).toThrow(/depth/);
  expect(() => new SlotRing(new SharedArrayBuffer(999), 17, order, "STAGING_FREE")).toThrow(/depth/);
});

it("is a bounded queue of generations, for any order of releases", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.oneof(fc.constant(-1), fc.nat(9)), { maxLength: 80 }),
      (depth, steps) => {
        const { ring: r } = ring(depth);
        const held: Slot[] = [];
        let generation = 0;
        for (const step of steps) {
          if (step < 0) {
            const wanted = generation % depth;
            const slot = r.tryAcquire();
            if (held.some((h) => h.index === wanted)) expect(slot).toBeNull();
            else {
              expect(slot).toEqual({ index: wanted, generation: ++generation });
              held.push(slot as Slot);
            }
          } else if (held.length > 0) {
            const [slot] = held.splice(step % held.length, 1);
            r.release(slot, "FILLING");
          }
          expect(r.busy()).toBe(held.length);
        }
      },
    ),
  );
});
