import { expect, it } from "vitest";
import { isMillraceError } from "../../../src/base/errors.js";
import { allocateStreamMemory } from "../../../src/pipeline/stream_memory.js";

it("reports memory that the system does not give as OUT_OF_MEMORY, with how much that was", () => {
  const outputLayout = { slotBytes: 8, chunkStrideBytes: 8, chunksPerEpoch: 1, epochsPerBatch: 1 };
  const sizes = { stagingSlots: 2, stagingSlotBytes: 2 ** 52, outputSlots: 1, outputLayout };
  let error: unknown;
  try {
    allocateStreamMemory(sizes);
  } catch (thrown) {
    error = thrown;
  }
  expect(isMillraceError(error, "OUT_OF_MEMORY")).toBe(true);
  expect(error).toMatchObject({ context: { bytes: 2 ** 53 + 8, stagingSlots: 2 }, cause: expect.any(RangeError) });
});
