import { expect, it } from "vitest";
import { loadAddon } from "../../../src/native/binding.js";
import { openCopier } from "../../../src/staging/copier.js";

const addon = loadAddon();

it.each([
  ["in TypeScript", undefined, 0],
  ["natively, where the addon is", addon, 2],
])("copies any part to any place, %s", (_, with_, helpers) => {
  const SIZE = 9 * 2 ** 20;
  const slots = [0, 1].map(() => new Uint8Array(new SharedArrayBuffer(SIZE)));
  const shared = new Uint8Array(new SharedArrayBuffer(SIZE));
  for (let i = 0; i < SIZE; i++) shared[i] = (i * 2654435761) >>> 13;
  const copier = openCopier(slots, with_, helpers);
  const sources = [shared, Uint8Array.from(shared), Buffer.from(shared).subarray(0, SIZE)];
  for (const [slot, to, from, length] of [
    [0, 0, 0, SIZE],
    [1, 5, 3, 70_001],
    [1, 100_000, 1, 10],
    [0, 1, 2, SIZE - 2],
    [1, SIZE - 1, 0, 1],
    [1, 7, 7, 0],
  ]) {
    for (const src of sources) {
      const expected = slots[slot].slice();
      expected.set(src.subarray(from, from + length), to);
      copier.copy(slot, to, src, from, length);
      expect(Buffer.compare(slots[slot], expected)).toBe(0);
    }
  }
  expect(copier.description).toMatch(with_ === undefined ? /^typescript$/ : /^native, \d helpers?$/);
  copier.close();
  copier.close();
});

it.runIf(addon !== undefined)("copies alone where no helper could start", () => {
  const SIZE = 2 ** 20;
  const slot = new Uint8Array(new SharedArrayBuffer(SIZE));
  // As the addon answers when the system has no thread left.
  const withoutThreads = Object.assign(Object.create(addon as object), { copyStart: () => addon?.copyStart(0) });
  const copier = openCopier([slot], withoutThreads, 3);
  expect(copier.description).toBe("native, 0 helpers");
  const source = Uint8Array.from({ length: SIZE }, (_, i) => (i * 2654435761) >>> 13);
  copier.copy(0, 0, source, 0, SIZE);
  expect(Buffer.compare(slot, source)).toBe(0);
  copier.close();
});
