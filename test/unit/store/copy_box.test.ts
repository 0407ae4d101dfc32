import { describe, expect, it } from "vitest";
import { copyBox, fillElements } from "../../../src/store/copy_box.js";

const numbers = (n: number, from = 0) => new Uint8Array(n).map((_, i) => from + i);

describe("copyBox", () => {
  it("copies an inner box and nothing else", () => {
    const to = { bytes: new Uint8Array(4 * 5).fill(99), shape: [4, 5] };
    copyBox({ bytes: numbers(12), shape: [3, 4] }, [1, 1], to, [2, 3], [2, 2], 1);
    const expected = new Uint8Array(20).fill(99);
    expected[13] = 5;
    expected[14] = 6;
    expected[18] = 9;
    expected[19] = 10;
    expect([...to.bytes]).toEqual([...expected]);
  });
  it("joins whole trailing dimensions into one run", () => {
    const to = { bytes: new Uint8Array(2 * 3 * 4 * 2), shape: [2, 3, 4] };
    copyBox({ bytes: numbers(48), shape: [2, 3, 4] }, [0, 1, 0], to, [0, 0, 0], [2, 2, 4], 2);
    expect([...to.bytes.subarray(0, 16)]).toEqual([...numbers(16, 8)]);
    expect([...to.bytes.subarray(24, 40)]).toEqual([...numbers(16, 32)]);
    expect([...to.bytes.subarray(16, 24)]).toEqual(new Array(8).fill(0));
  });
  it("copies the element of rank 0", () => {
    const to = { bytes: new Uint8Array(2), shape: [] };
    copyBox({ bytes: numbers(2, 7), shape: [] }, [], to, [], [], 2);
    expect([...to.bytes]).toEqual([7, 8]);
  });
});

describe("fillElements", () => {
  it.each([0, 1, 2, 3, 7, 8])("repeats an element %i times", (count) => {
    const bytes = new Uint8Array(count * 4);
    fillElements(bytes, Uint8Array.of(1, 2, 3, 4));
    expect([...bytes]).toEqual(Array.from({ length: count * 4 }, (_, i) => (i % 4) + 1));
  });
});
