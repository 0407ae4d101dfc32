import { describe, expect, it } from "vitest";
import { isMillraceError, type MillraceError } from "../../../src/base/errors.js";
import { type ArrayGeometry, describeGeometry } from "../../../src/geometry/array_geometry.js";
import { gpuLayout, gpuLimitsNeeded, KERNEL_BUFFER_BYTES_MAX } from "../../../src/plan/gpu_layout.js";
import { type MemoryRequest, planMemory } from "../../../src/plan/memory_plan.js";

const MiB = 2 ** 20;
/** What WebGPU promises of every device. */
const EVERY_DEVICE = { maxBufferSize: 268435456, maxStorageBufferBindingSize: 134217728 };
const NO_LIMIT = { maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: 2 ** 40 };

/** Frames of a camera in chunks of so many bytes, each of `rows` frames. */
function camera(y: number, x: number, rows: number, chunkBytes: number): ArrayGeometry {
  const side = Math.sqrt(chunkBytes / 2 / rows);
  return describeGeometry("uint16", [
    { name: "t", size: null, chunk: rows, shard: rows * 8 },
    { name: "y", size: y, chunk: side, shard: side * 4 },
    { name: "x", size: x, chunk: side, shard: side * 4 },
  ]);
}

function request(geometry: ArrayGeometry, over: Partial<MemoryRequest> = {}): MemoryRequest {
  const gpu = { name: "a card", software: false, limits: EVERY_DEVICE };
  return { geometry, codec: { name: "blosc" }, encodeThreads: 1, sinkMemoryBytes: () => 0, gpu, ...over };
}

function refused(given: MemoryRequest): MillraceError {
  try {
    planMemory(given);
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it was planned");
}

describe("a batch of 64 MiB", () => {
  const cameras: [string, ArrayGeometry][] = [
    ["2048 × 2048, chunks of 128 KiB", camera(2048, 2048, 1, 128 * 1024)],
    ["2048 × 2048, chunks of 128 KiB and 4 frames", camera(2048, 2048, 4, 128 * 1024)],
    ["2304 × 2304, chunks of 512 KiB", camera(2304, 2304, 1, 512 * 1024)],
    ["2048 × 2048, chunks of 512 KiB and 4 frames", camera(2048, 2048, 4, 512 * 1024)],
    ["4096 × 4096, chunks of 1 MiB and 2 frames", camera(4096, 4096, 2, MiB)],
    ["2048 × 2048, chunks of 1 MiB and 8 frames", camera(2048, 2048, 8, MiB)],
  ];
  it.each(cameras)("fits the limits that every device has: %s", (_, geometry) => {
    for (const name of ["blosc", "zstd", "none"] as const) {
      const codec = { name };
      const plan = planMemory(request(geometry, { codec }));
      expect(plan.reductions).toEqual([]);
      const raw = plan.epochsPerBatch * geometry.epochBytes;
      expect(raw).toBeGreaterThanOrEqual(64 * MiB);
      const { upload, readback, ...bound } = gpuLayout(geometry, codec, plan.epochsPerBatch).buffers;
      for (const [buffer, bytes] of Object.entries(bound))
        expect(bytes, `${buffer} for ${name}`).toBeLessThanOrEqual(EVERY_DEVICE.maxStorageBufferBindingSize);
      expect(Math.max(upload, readback)).toBeLessThanOrEqual(EVERY_DEVICE.maxBufferSize);
    }
  });

  it("fits as one epoch", () => {
    const geometry = camera(4096, 4096, 2, MiB);
    expect(geometry.epochBytes).toBe(64 * MiB);
    expect(planMemory(request(geometry)).epochsPerBatch).toBe(1);
  });
});

describe("what the kernels address", () => {
  // Epochs of 8 MiB, whose largest buffer is `work`.
  const geometry = camera(2048, 2048, 1, 128 * 1024);
  const gpu = { name: "a large card", software: false, limits: NO_LIMIT };
  const bytesOf = (epochs: number): number =>
    gpuLimitsNeeded(gpuLayout(geometry, { name: "blosc" }, epochs)).maxStorageBufferBindingSize;
  const epochsMax = Math.floor(KERNEL_BUFFER_BYTES_MAX / bytesOf(1));

  it("bounds a batch that was asked for, on any card, and says so", () => {
    expect(planMemory(request(geometry, { gpu, batchEpochs: epochsMax })).epochsPerBatch).toBe(epochsMax);
    const error = refused(request(geometry, { gpu, batchEpochs: epochsMax + 1 }));
    expect(error.code).toBe("BACKEND_UNAVAILABLE");
    expect(error.context).toEqual({
      adapter: "a large card",
      limit: "KERNEL_BUFFER_BYTES_MAX",
      needed: bytesOf(epochsMax + 1),
      granted: KERNEL_BUFFER_BYTES_MAX,
    });
    expect(error.message).toContain(`the kernels address ${KERNEL_BUFFER_BYTES_MAX}`);
    expect(error.hint).toContain("batchEpochs");
  });

  it("refuses one epoch that is too much", () => {
    const error = refused(request(camera(16384, 16384, 6, 6 * 2 ** 21), { gpu }));
    expect(error.context).toMatchObject({ limit: "KERNEL_BUFFER_BYTES_MAX", granted: KERNEL_BUFFER_BYTES_MAX });
  });
});
