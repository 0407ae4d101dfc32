import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ElementCarry } from "../../../src/cli/element_carry.js";

describe("ElementCarry", () => {
  it("hands out whole elements only and loses no byte, whatever the pieces are", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 4, 8),
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }),
        (itemBytes, pieceBytes, fills) => {
          const carry = new ElementCarry(itemBytes, pieceBytes);
          const out: number[] = [];
          let written = 0;
          for (const wanted of fills) {
            const count = Math.min(wanted, pieceBytes);
            const room = carry.room();
            expect(room.byteLength).toBeGreaterThanOrEqual(pieceBytes);
            for (let i = 0; i < count; i++) room[i] = (written + i) & 0xff;
            written += count;
            const view = carry.filled(count);
            expect(view.byteLength % itemBytes).toBe(0);
            out.push(...view);
          }
          expect(out.length + carry.carriedBytes).toBe(written);
          expect(carry.carriedBytes).toBeLessThan(itemBytes);
          expect(out).toEqual(out.map((_, i) => i & 0xff));
        },
      ),
    );
  });
});
