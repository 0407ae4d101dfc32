import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forEachLoaded, planWindows } from "../../../src/store/read_windows.js";

describe("planWindows", () => {
  it("covers every range once, in order, and keeps windows bounded", () => {
    const ranges = fc.array(fc.record({ offset: fc.nat(5000), nbytes: fc.nat(300) }), { maxLength: 40 });
    fc.assert(
      fc.property(ranges, (list) => {
        const windows = planWindows(
          list.map((range, what) => ({ ...range, what })),
          400,
          50,
        );
        const seen = windows.flatMap(({ ranges: inside }) => inside.map(({ what }) => what));
        expect(seen.sort((a, b) => a - b)).toEqual(list.map((_, i) => i));
        for (const { offset, nbytes, ranges: inside } of windows) {
          expect(nbytes).toBeLessThanOrEqual(400);
          for (const range of inside) {
            expect(range.offset).toBeGreaterThanOrEqual(offset);
            expect(range.offset + range.nbytes).toBeLessThanOrEqual(offset + nbytes);
          }
        }
      }),
    );
  });
  it("reads a range larger than a window alone, and skips large gaps", () => {
    const at = (offset: number, nbytes: number) => ({ offset, nbytes, what: offset });
    expect(planWindows([at(0, 10), at(10, 1000), at(1010, 10), at(1100, 10)], 100, 50)).toMatchObject([
      { offset: 0, nbytes: 10 },
      { offset: 10, nbytes: 1000 },
      { offset: 1010, nbytes: 10 },
      { offset: 1100, nbytes: 10 },
    ]);
  });
});

describe("forEachLoaded", () => {
  it("keeps order, and never more than two items in memory", async () => {
    let loaded = 0;
    let most = 0;
    const used: number[] = [];
    await forEachLoaded(
      [1, 2, 3, 4, 5],
      async (item) => {
        most = Math.max(most, ++loaded);
        await new Promise((resolve) => setTimeout(resolve, item % 2));
        return item * 10;
      },
      async (item, value) => {
        expect(value).toBe(item * 10);
        await new Promise((resolve) => setTimeout(resolve, 1));
        used.push(item);
        loaded--;
      },
    );
    expect(used).toEqual([1, 2, 3, 4, 5]);
    expect(most).toBe(2);
  });
  it("ends with the first error of either side, with no load left running", async () => {
    const failing = (at: number) => async (item: number) => {
      if (item === at) throw new Error(`at ${item}`);
    };
    await expect(forEachLoaded([1, 2, 3], failing(2), async () => {})).rejects.toThrow("at 2");
    await expect(forEachLoaded([1, 2, 3], failing(2), failing(1))).rejects.toThrow("at 1");
    await expect(forEachLoaded([1, 2, 3], failing(9), failing(3))).rejects.toThrow("at 3");
    await expect(forEachLoaded([], failing(1), failing(1))).resolves.toBeUndefined();
  });
});
