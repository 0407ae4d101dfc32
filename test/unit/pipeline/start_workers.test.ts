import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
// Worker threads run compiled code.
import { startWorkers } from "../../../dist/pipeline/start_workers.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { allocateStreamMemory } from "../../../src/pipeline/stream_memory.js";
import type { StreamThreadsInit } from "../../../src/pipeline/stream_threads.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

it("ends delivery's thread when the engine's cannot be started", async () => {
  const folder = await makeTempFolder();
  onTestFinished(() => removeFolder(folder));
  const outputLayout = { slotBytes: 8, chunkStrideBytes: 8, chunksPerEpoch: 1, epochsPerBatch: 1 };
  const memory = allocateStreamMemory({ stagingSlots: 1, stagingSlotBytes: 8, outputSlots: 1, outputLayout });
  const geometry = describeGeometry("uint8", [{ name: "t", size: null, chunk: 1 }]);
  const path = join(folder, "run.zarr");
  const init = {
    // A function refuses to be cloned.
    engine: { memory, odd: () => {} },
    delivery: {
      geometry,
      memory,
      ordering: { debug: true, off: [] },
      sink: { kind: "file", location: path, options: { path } },
      mode: "create",
      durability: "none",
      publishIntervalMs: 0,
      chunkBytesMax: 1,
      metadata: { codecs: [], fill: { json: 0, bytes: new Uint8Array(1) }, attributes: {} },
    },
    transfer: [],
  } as unknown as StreamThreadsInit;
  const workers: Worker[] = [];
  const seen = (worker: Worker): void => void workers.push(worker);
  process.on("worker", seen);
  onTestFinished(() => void process.off("worker", seen));
  const lost: unknown[] = [];
  await expect(startWorkers(init, (error: unknown) => lost.push(error))).rejects.toMatchObject({
    code: "THREAD_FAILED",
    message: expect.stringContaining("the engine thread could not start: "),
  });
  expect(workers.length).toBeGreaterThan(0);
  expect(workers.map((worker) => worker.threadId)).toEqual(workers.map(() => -1));
  expect(lost).toEqual([]);
});
