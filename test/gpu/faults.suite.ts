import { describe, expect, it } from "vitest";
import { callsOf, cellsOf, type FaultScene, tryFault } from "../helpers/fault_stream.js";
import type { Fault, FaultKind } from "../helpers/faulty_disk.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";

/** The fault matrix of test/fault/disk_faults.wide.test.ts, a sample of it, with batches that come from a GPU. */
const KINDS: readonly FaultKind[] = ["EIO", "full", "read-only", "late"];
const SAMPLES = 20;

describe.skipIf(noGpu)("a stream on a GPU of which a call of the file system goes wrong", () => {
  it.each([
    ["create", "shard"],
    ["create", "batch"],
    ["resume", "batch"],
  ] as const)("loses nothing: %s, %s", async (mode, durability) => {
    const scene: FaultScene = {
      mode,
      durability,
      open: (options) => openGpuWriter({ ...options, backend: "gpu", allowSoftwareAdapter: true }),
    };
    const cells = cellsOf(await callsOf(scene), KINDS);
    const sample = Array.from({ length: SAMPLES }, (_, i): Fault => cells[Math.floor((i * cells.length) / SAMPLES)]);
    let failed = 0;
    for (const cell of sample) if ((await tryFault(scene, cell))?.error !== undefined) failed++;
    expect(failed).toBeGreaterThan(SAMPLES / 2);
  });
});
