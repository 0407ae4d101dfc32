import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError } from "../../../src/base/errors.js";
import { OBJECT_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX, partMemoryBytes, planParts } from "../../../src/s3/part_plan.js";

const MIB = 2 ** 20;

describe("parts of a shard", () => {
  it("are 8 MiB where that is enough", () => {
    expect(planParts(1)).toBe(8 * MIB);
    expect(planParts(9000 * 8 * MIB)).toBe(8 * MIB);
    expect(planParts(9000 * 8 * MIB + 1)).toBe(9 * MIB);
  });

  it("hold any shard that an object can hold, within 10,000 of them", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: OBJECT_BYTES_MAX }), (bytes) => {
        const part = planParts(bytes);
        expect(Math.ceil(bytes / part)).toBeLessThanOrEqual(PARTS_MAX);
        expect(part).toBeGreaterThanOrEqual(PART_BYTES_MIN);
      }),
    );
  });

  it("are what was asked for, up to the last part that fits", () => {
    expect(planParts(PARTS_MAX * PART_BYTES_MIN, PART_BYTES_MIN)).toBe(PART_BYTES_MIN);
    try {
      planParts(PARTS_MAX * PART_BYTES_MIN + 1, PART_BYTES_MIN);
      expect.unreachable();
    } catch (error) {
      expect(isMillraceError(error, "INVALID_OPTION")).toBe(true);
      expect((error as Error).message).toContain("10001 parts of 5242880");
      expect((error as Error).message).toContain("make it 5242881 or more");
    }
  });

  it("cannot hold what no object holds", () => {
    expect(() => planParts(OBJECT_BYTES_MAX + 1)).toThrow(/Make shards smaller/);
  });

  it("take a buffer for each open shard and each that is on its way, none larger than a shard", () => {
    expect(partMemoryBytes(10, 100 * MIB, 8 * MIB, 4)).toBe(14 * 8 * MIB);
    expect(partMemoryBytes(10, MIB, 8 * MIB, 4)).toBe(14 * MIB);
  });
});
