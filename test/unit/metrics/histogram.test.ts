import { createHistogram } from "node:perf_hooks";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Histogram } from "../../../src/metrics/histogram.js";

const HIGHEST = 3_600_000_000_000;
const PERCENTS = [0.1, 1, 25, 50, 75, 90, 99, 99.9, 100];

/** Every magnitude is as likely as any other, and so are the ends of its buckets. */
const value = fc
  .tuple(fc.integer({ min: 0, max: 41 }), fc.double({ min: 1, max: 2, noNaN: true }), fc.integer({ min: -1, max: 1 }))
  .map(([bits, part, off]) => Math.min(HIGHEST, Math.max(1, Math.floor(part * 2 ** bits) + off)));

it("gives the percentiles of Node's histogram", () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
      const ours = new Histogram(HIGHEST);
      const nodes = createHistogram({ figures: 3, lowest: 1, highest: HIGHEST });
      for (const each of values) {
        ours.record(each);
        nodes.record(each);
      }
      expect(ours.count).toBe(nodes.count);
      for (const percent of PERCENTS) expect(ours.percentile(percent)).toBe(nodes.percentile(percent));
    }),
    { numRuns: 50 },
  );
});

it("is 0 while it is empty, and counts what is too large as its largest", () => {
  const histogram = new Histogram(1000);
  expect(histogram.percentile(50)).toBe(0);
  histogram.record(5000);
  expect([histogram.count, histogram.percentile(50)]).toEqual([1, 1000]);
});
