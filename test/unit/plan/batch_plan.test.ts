import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BATCH_BYTES_TARGET, BATCH_EPOCHS_MAX, PIPELINE_DEPTH_DEFAULT } from "../../../src/base/limits.js";
import { type CodecSpec, codecBound } from "../../../src/codec/codec.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import type { OutputLayout } from "../../../src/handoff/host_batch.js";
import { openShardRowsMax, planBatch, SLOT_BYTES_MAX } from "../../../src/plan/batch_plan.js";
import { smallGeometries } from "../geometry/geometries.js";

const none: CodecSpec = { name: "none" };
const zstd: CodecSpec = { name: "zstd", level: 1 };

/** A byte array with epochs of `rows` rows of `rowBytes` bytes in chunks of `chunk`. */
const bytesArray = (size: number | null, rows: number, rowBytes: number, chunk = rowBytes, epochsPerShard = 1) =>
  describeGeometry("uint8", [
    { name: "t", size, chunk: rows, shard: rows * epochsPerShard },
    { name: "x", size: rowBytes, chunk },
  ]);

describe("planBatch", () => {
  it("takes as many epochs as reach 16 MiB", () => {
    expect(planBatch(bytesArray(null, 1, 2 ** 20), { codec: none }).epochsPerBatch).toBe(16);
    expect(planBatch(bytesArray(null, 1, 2 ** 20 + 1), { codec: none }).epochsPerBatch).toBe(16);
    expect(planBatch(bytesArray(null, 1, 2 ** 20 - 1), { codec: none }).epochsPerBatch).toBe(17);
    expect(planBatch(bytesArray(null, 1, 2 ** 26), { codec: none }).epochsPerBatch).toBe(1);
    expect(planBatch(bytesArray(null, 1, 1), { codec: none }).epochsPerBatch).toBe(BATCH_EPOCHS_MAX);
    expect(planBatch(bytesArray(null, 4, 2 ** 20), { codec: none, targetBytes: 2 ** 23 }).epochsPerBatch).toBe(2);
  });

  it("takes no more epochs than a bounded array has", () => {
    expect(planBatch(bytesArray(9, 4, 100), { codec: none }).epochsPerBatch).toBe(3);
    expect(planBatch(bytesArray(9, 4, 100), { codec: none, batchEpochs: 50 }).epochsPerBatch).toBe(3);
    expect(planBatch(bytesArray(9, 4, 100), { codec: none, batchEpochs: 2 }).epochsPerBatch).toBe(2);
  });

  it("lays chunks out end to end for none, and with room for the bound on 16 bytes for zstd", () => {
    const g = bytesArray(null, 2, 100, 33);
    expect(planBatch(g, { codec: none, batchEpochs: 5, depth: 2 })).toEqual({
      epochsPerBatch: 5,
      chunksPerBatch: 20,
      stagingSlots: 2,
      stagingSlotBytes: 1000,
      outputSlots: 2,
      outputLayout: { slotBytes: 5 * 4 * 66, chunkStrideBytes: 66, chunksPerEpoch: 4, epochsPerBatch: 5 },
      sizesBytes: 160,
    });
    // 66 + ⌊66/256⌋ + ⌊(131072 − 66)/2048⌋ = 129, rounded up to 144.
    expect(planBatch(g, { codec: zstd, batchEpochs: 5 }).outputLayout.chunkStrideBytes).toBe(144);
  });

  it("has room for every chunk of every geometry, and the type of the hand-over", () => {
    fc.assert(
      fc.property(smallGeometries(), fc.constantFrom(none, zstd), (g, codec) => {
        const plan = planBatch(g, { codec });
        const layout: OutputLayout = plan.outputLayout;
        expect(layout.chunkStrideBytes).toBeGreaterThanOrEqual(codecBound(codec, g.chunkBytes));
        expect(layout.chunkStrideBytes % (codec.name === "none" ? g.chunkBytes : 16)).toBe(0);
        expect(layout.slotBytes).toBe(layout.chunkStrideBytes * g.chunksPerEpoch * plan.epochsPerBatch);
        expect(plan.stagingSlotBytes).toBe(g.epochBytes * plan.epochsPerBatch);
        expect(plan.stagingSlots).toBe(PIPELINE_DEPTH_DEFAULT);
        if (plan.epochsPerBatch > 1) expect((plan.epochsPerBatch - 1) * g.epochBytes).toBeLessThan(BATCH_BYTES_TARGET);
        expect(planBatch(g, { codec })).toEqual(plan);
        expect(structuredClone(plan)).toEqual(plan);
      }),
    );
  });

  it("refuses an epoch that fits no slot, naming the dimension to shrink", () => {
    const g = bytesArray(null, 2 ** 13, 2 ** 20, 2 ** 10);
    expect(() => planBatch(g, { codec: none })).toThrow(
      expect.objectContaining({
        code: "BAD_GEOMETRY",
        context: expect.objectContaining({ epochBytes: 2 ** 33, dimension: "t" }),
      }),
    );
    const atLimit = bytesArray(null, 2 ** 12, 2 ** 20, 2 ** 10);
    expect(planBatch(atLimit, { codec: none }).stagingSlotBytes).toBe(SLOT_BYTES_MAX);
    expect(() => planBatch(atLimit, { codec: zstd })).toThrow(expect.objectContaining({ code: "BAD_GEOMETRY" }));
    expect(() => planBatch(atLimit, { codec: none, batchEpochs: 2 })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", context: { option: "batchEpochs", given: 2, limit: 1 } }),
    );
  });

  it.each([
    { batchEpochs: 0 },
    { batchEpochs: 1.5 },
    { batchEpochs: BATCH_EPOCHS_MAX + 1 },
    { depth: 0 },
    { depth: 17 },
  ])("refuses %j", (over) => {
    expect(() => planBatch(bytesArray(null, 1, 10), { codec: none, ...over })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});

describe("openShardRowsMax", () => {
  it("is the row being written and the one being sealed, or all that a bounded array has", () => {
    expect(openShardRowsMax(bytesArray(null, 2, 10, 10, 4))).toBe(2);
    expect(openShardRowsMax(bytesArray(8, 2, 10, 10, 4))).toBe(1);
    expect(openShardRowsMax(bytesArray(9, 2, 10, 10, 4))).toBe(2);
    expect(openShardRowsMax(bytesArray(99, 2, 10, 10, 4))).toBe(2);
  });
});
