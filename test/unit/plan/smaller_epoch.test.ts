import { expect, it } from "vitest";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { planBatch } from "../../../src/plan/batch_plan.js";
import { smallerEpoch } from "../../../src/plan/smaller_epoch.js";

const volumes = (t: number, z: number) =>
  describeGeometry("uint16", [
    { name: "t", size: null, chunk: t },
    { name: "z", size: z, chunk: 64 },
    { name: "y", size: 1764, chunk: 294 },
    { name: "x", size: 2660, chunk: 266 },
  ]);

it("names the append dimension's chunk while it can be smaller", () => {
  expect(smallerEpoch(volumes(4, 64))).toBe('Make chunk of dimension "t" smaller (now 4): an epoch is 2.2 GiB.');
});

it("names the slowest of the other dimensions that has several chunks where that chunk is 1", () => {
  expect(smallerEpoch(volumes(1, 1024))).toMatch(/an array, or put it first/);
  expect(smallerEpoch(volumes(1, 1024))).toContain('dimension "z" (now 1024)');
  const one = describeGeometry("uint8", [{ name: "t", size: null, chunk: 1 }]);
  expect(smallerEpoch(volumes(1, 512))).toContain('dimension "z" (now 512)');
  expect(smallerEpoch(one)).toBe("An epoch is 1 bytes, one chunk.");
});

it("is what a plan says whose epoch fits in no slot", () => {
  expect(() => planBatch(volumes(1, 1024), { codec: { name: "none" } })).toThrow(
    expect.objectContaining({ code: "BAD_GEOMETRY", hint: smallerEpoch(volumes(1, 1024)) }),
  );
});
