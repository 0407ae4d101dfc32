import { describe, expect, it } from "vitest";
import { findScenario, LATER_SCENARIOS, SCENARIOS } from "../../../src/bench/scenarios/catalog.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { discardSink, estimateMemory } from "../../../src/index.js";

describe("scenarios", () => {
  it.each(SCENARIOS.map((s) => [s.name, s] as const))("%s is a legal array whose batches are whole appends", (_, s) => {
    const g = describeGeometry("uint16", s.dimensions);
    expect(s.appendBytes % 2).toBe(0);
    const array = { dtype: "uint16", dimensions: s.dimensions, codec: { name: "none" } } as const;
    const plan = estimateMemory({ sink: discardSink(), array, memoryBudgetBytes: 8e9 });
    expect(plan.batch.stagingSlotBytes % s.appendBytes).toBe(0);
    // Full chunks only: the figures of padded chunks would not be the input's.
    for (const [d, { size, chunk }] of s.dimensions.entries()) {
      if (size !== null) expect(size % chunk, `dimension ${d}`).toBe(0);
    }
    expect(g.chunkBytes).toBeGreaterThanOrEqual(256 * 1024);
  });

  it.each([
    ["orca2", 2 ** 20, 16],
    ["cube256", 2 ** 18, 8],
    ["smallepoch", 2 ** 20, 1],
    ["medfmt", 2 ** 20, 20],
    ["aqz", 2 ** 19, 4],
    ["two_streams", 2 ** 18, 8],
  ])("%s has chunks of %i bytes and %i shards side by side", (name, chunkBytes, shardsPerRow) => {
    const { dimensions } = findScenario(name);
    expect(describeGeometry("uint16", dimensions)).toMatchObject({ chunkBytes, shardsPerRow });
    // Every inner shard is full: a shard at the edge would be smaller than its neighbours.
    for (const { size, shard = 1 } of dimensions.slice(1)) expect((size ?? 0) % shard).toBe(0);
  });

  it("medfmt switches shards at least four times in a hundred planes, and a shard holds at least four epochs", () => {
    const g = describeGeometry("uint16", findScenario("medfmt").dimensions);
    expect(Math.floor(100 / g.shard[0])).toBeGreaterThanOrEqual(4);
    expect(g.epochsPerShard).toBeGreaterThanOrEqual(4);
  });

  it("names what comes later, and what was meant", () => {
    for (const { name } of LATER_SCENARIOS) expect(() => findScenario(name)).toThrow(/not in this version/);
    expect(() => findScenario("cube25")).toThrow(/cube256/);
    expect(findScenario("orca2").name).toBe("orca2");
  });
});
