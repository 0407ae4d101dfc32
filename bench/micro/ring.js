// The slot ring alone: what a batch pays for its states, without anything in its slots.
import { Ordering } from "../../dist/slots/ordering.js";
import { SlotRing, slotRingControlBytes } from "../../dist/slots/slot_ring.js";

const OPERATIONS = 1000;

export function ringGroup() {
  const depth = 3;
  const ring = new SlotRing(
    new SharedArrayBuffer(slotRingControlBytes(depth)),
    depth,
    new Ordering({ debug: false, off: [] }),
    "STAGING_FREE",
  );
  return {
    cases: [
      {
        title: "acquire, fill, read, release",
        operations: OPERATIONS,
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) {
            const slot = ring.tryAcquire();
            ring.advance(slot, "FILLING", "FILLED", "STAGING_COPIED");
            ring.advance(slot, "FILLED", "READING", "BATCH_FILLED");
            ring.release(slot, "READING");
          }
        },
      },
      {
        title: "busy",
        operations: OPERATIONS,
        run: () => {
          for (let i = 0; i < OPERATIONS; i++) ring.busy();
        },
      },
    ],
  };
}
