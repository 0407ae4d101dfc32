import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../../src/base/errors.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { epochTableBytes } from "../../../src/geometry/epoch_table.js";
import { formatBytes } from "../../../src/plan/format_bytes.js";
import { gpuLayout, gpuLimitsNeeded, gpuMemory } from "../../../src/plan/gpu_layout.js";
import { type MemoryPlan, type MemoryRequest, planMemory } from "../../../src/plan/memory_plan.js";
import { shardIndexBytes } from "../../../src/zarr/shard_index.js";
import { MEMORY_ITEMS } from "../../helpers/memory_items.js";
import { smallGeometries } from "../geometry/geometries.js";

const MiB = 2 ** 20;

const geometry = describeGeometry("uint16", [
  { name: "t", size: null, chunk: 4, shard: 16 },
  { name: "y", size: 512, chunk: 128, shard: 256 },
  { name: "x", size: 512, chunk: 128, shard: 512 },
]);
const request: MemoryRequest = {
  geometry,
  codec: { name: "none" },
  encodeThreads: 3,
  sinkMemoryBytes: (openShards) => 1000 * openShards,
};

function refused(over: Partial<MemoryRequest>): MillraceError {
  try {
    planMemory({ ...request, ...over });
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it fitted");
}

describe("planMemory", () => {
  it("adds up, item by item", () => {
    // An epoch is 4 × 512 × 512 × 2 = 2 MiB, so K = 8; two shards side by side, two rows of them open.
    const plan = planMemory(request);
    expect(plan).toMatchObject({
      staging: 3 * 16 * MiB,
      output: 3 * 16 * MiB,
      sizes: 3 * 8 * 16 * 8,
      shardIndexes: 4 * shardIndexBytes(4 * 2 * 4),
      encoderScratch: 0,
      sink: 4000,
      threads: 0,
      control: 65536 + epochTableBytes(geometry) + 8 + 24 + 128 * 24,
      openShards: 4,
      chunksPerEpoch: 16,
      chunksPerBatch: 128,
      epochsPerBatch: 8,
      reductions: [],
    });
    expect(plan.totalBytes).toBe(MEMORY_ITEMS.reduce((sum, item) => sum + plan[item], 0));
  });

  it("counts the heaps of worker threads in the total, and not against the budget", () => {
    const inline = planMemory(request);
    const workers = planMemory({ ...request, workerThreads: 3, memoryBudgetBytes: inline.totalBytes });
    expect(workers.threads).toBe((10 + 3 * 12) * MiB);
    expect(workers.totalBytes).toBe(inline.totalBytes + workers.threads);
    expect(workers.reductions).toEqual([]);
  });

  it("counts room for a gathered chunk per thread where the codec needs it", () => {
    const plan = planMemory({ ...request, codec: { name: "zstd", level: 1 } });
    expect(plan.encoderScratch).toBe(3 * geometry.chunkBytes);
    expect(plan.output).toBeGreaterThan(plan.staging);
  });

  it("shrinks K first, halving, and says so", () => {
    const full = planMemory(request).totalBytes;
    const plan = planMemory({ ...request, memoryBudgetBytes: full - 1 });
    expect([plan.epochsPerBatch, plan.batch.stagingSlots]).toEqual([4, 3]);
    expect(plan.reductions).toEqual([expect.stringContaining("4 epochs instead of 8")]);
    expect(planMemory({ ...request, memoryBudgetBytes: full }).reductions).toEqual([]);
  });

  it("then takes two slots instead of three", () => {
    const least = planMemory({ ...request, batchEpochs: 1, depth: 3 }).totalBytes;
    const plan = planMemory({ ...request, memoryBudgetBytes: least - 1 });
    expect([plan.epochsPerBatch, plan.batch.stagingSlots, plan.batch.outputSlots]).toEqual([1, 2, 2]);
    expect(plan.reductions).toHaveLength(2);
  });

  it("then gives up, with every item", () => {
    const least = planMemory({ ...request, batchEpochs: 1, depth: 2 });
    const error = refused({ memoryBudgetBytes: least.totalBytes - 1 });
    expect(error.code).toBe("MEMORY_BUDGET_EXCEEDED");
    for (const item of MEMORY_ITEMS) expect(error.context[item]).toBe(least[item]);
    expect(error.context).toMatchObject({
      memoryBudgetBytes: least.totalBytes - 1,
      totalBytes: least.totalBytes,
      depth: 2,
    });
    expect(error.message).toContain("staging 4 MiB");
    expect(error.hint).toContain('chunk of dimension "t" smaller (now 4)');
  });

  it("leaves alone what was asked for", () => {
    expect(refused({ batchEpochs: 8, memoryBudgetBytes: 50 * MiB }).hint).toContain("batchEpochs (now 8)");
    expect(refused({ depth: 8, memoryBudgetBytes: 20 * MiB }).hint).toContain("depth (now 8)");
    const plan = planMemory({ ...request, depth: 1, memoryBudgetBytes: 20 * MiB });
    expect([plan.epochsPerBatch, plan.batch.stagingSlots]).toEqual([4, 1]);
    expect(planMemory({ ...request, batchEpochs: 8, memoryBudgetBytes: 65 * MiB }).batch.stagingSlots).toBe(2);
  });

  it("names what to shrink when something else is largest", () => {
    const budget = { memoryBudgetBytes: 1 };
    expect(refused({ ...budget, sinkMemoryBytes: () => 2 ** 40 }).hint).toContain("Make shards larger");
    expect(refused({ ...budget, codec: { name: "zstd", level: 1 }, encodeThreads: 256 }).hint).toContain(
      "encodeThreads (now 256)",
    );
    const deep = describeGeometry("uint8", [{ name: "t", size: null, chunk: 1, shard: 2 ** 20 }]);
    expect(refused({ ...budget, geometry: deep }).hint).toContain('shard of dimension "t"');
    const fine = describeGeometry("uint8", [
      { name: "t", size: null, chunk: 1 },
      { name: "x", size: 2 ** 12, chunk: 1, shard: 2 ** 12 },
    ]);
    expect(refused({ ...budget, geometry: fine }).hint).toMatch(/chunks larger/);
  });

  it("keeps any budget it accepts, and never takes less than it must", () => {
    fc.assert(
      fc.property(smallGeometries(), fc.integer({ min: 70_000, max: 40_000_000 }), (g, memoryBudgetBytes) => {
        let plan: MemoryPlan;
        try {
          plan = planMemory({ ...request, geometry: g, memoryBudgetBytes });
        } catch (error) {
          expect(isMillraceError(error, "MEMORY_BUDGET_EXCEEDED")).toBe(true);
          const least = planMemory({ ...request, geometry: g, batchEpochs: 1, depth: 2 });
          expect(least.totalBytes).toBeGreaterThan(memoryBudgetBytes);
          return;
        }
        expect(plan.totalBytes).toBeLessThanOrEqual(memoryBudgetBytes);
        const unbounded = planMemory({ ...request, geometry: g });
        if (plan.reductions.length > 0) expect(unbounded.totalBytes).toBeGreaterThan(memoryBudgetBytes);
        else expect(plan).toEqual(unbounded);
      }),
    );
  });

  it("is plain data", () => {
    const plan = planMemory(request);
    expect(structuredClone(plan)).toEqual(plan);
    expect(Object.isFrozen(plan) && Object.isFrozen(plan.reductions)).toBe(true);
  });
});

describe("planMemory for a GPU", () => {
  const blosc: MemoryRequest = { ...request, codec: { name: "blosc" } };
  const card = {
    name: "a card",
    software: false,
    limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 },
  };

  it("takes larger batches, and counts what the device reads and holds", () => {
    const plan = planMemory({ ...blosc, gpu: card });
    // Epochs of 2 MiB and 64 blocks: 32 of them are 64 MiB.
    expect(plan.epochsPerBatch).toBe(32);
    const layout = gpuLayout(geometry, blosc.codec, 32);
    const { deviceBytes, hostBytes } = gpuMemory(layout, 3, 2);
    expect(plan.gpu).toEqual({ slots: 2, deviceBytes });
    expect(plan.gpuHost).toBe(hostBytes);
    expect(plan.totalBytes).toBe(MEMORY_ITEMS.reduce((sum, item) => sum + plan[item], 0));
    expect(planMemory(blosc).gpu).toBeUndefined();
    expect(planMemory({ ...blosc, gpu: card, depth: 1 }).gpu?.slots).toBe(1);
  });

  it("bounds the blocks of a batch where chunks are small, and everything where the adapter is software", () => {
    const small = describeGeometry("uint16", [
      { name: "t", size: null, chunk: 1, shard: 64 },
      { name: "x", size: 6400, chunk: 64, shard: 6400 },
    ]);
    const plan = planMemory({ ...blosc, geometry: small, gpu: card });
    expect(plan.epochsPerBatch * 100 * 2).toBeLessThanOrEqual(8192);
    const software = planMemory({ ...blosc, gpu: { ...card, software: true } });
    expect(software.epochsPerBatch).toBe(1);
  });

  it("halves K for the limits of the device, and says so", () => {
    const limits = { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 64 * MiB };
    const plan = planMemory({ ...blosc, gpu: { ...card, limits } });
    expect(plan.epochsPerBatch).toBe(16);
    expect(plan.reductions).toEqual(["A batch holds 16 epochs instead of 32 to keep to the limits of a card."]);
    const { maxStorageBufferBindingSize } = gpuLimitsNeeded(gpuLayout(geometry, blosc.codec, 16));
    expect(maxStorageBufferBindingSize).toBeLessThanOrEqual(64 * MiB);
  });

  it("refuses what one epoch, or the K asked for, takes too much of, and names the limit", () => {
    const limits = { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: MiB };
    for (const over of [{}, { batchEpochs: 4 }]) {
      const error = refused({ ...blosc, ...over, gpu: { ...card, limits } });
      expect(error.code).toBe("BACKEND_UNAVAILABLE");
      expect(error.context).toMatchObject({ adapter: "a card", limit: "maxStorageBufferBindingSize", granted: MiB });
      expect(error.message).toContain("a card has 1048576");
    }
  });
});

describe("formatBytes", () => {
  it.each([
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [723_840, "707 KiB"],
    [16 * MiB, "16 MiB"],
    [2 ** 33, "8 GiB"],
    [2 ** 53, "8 PiB"],
  ])("%i is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
