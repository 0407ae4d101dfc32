import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { simpleFill } from "../../../dist/bench/fill.js";
import type { BenchSettings } from "../../../dist/bench/job.js";
import { runWriter } from "../../../dist/bench/writer_run.js";
import { verifyStore } from "../../../dist/index.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

const settings = (over: Partial<BenchSettings>): BenchSettings => ({
  scenario: "test",
  dimensions: [
    { name: "t", size: null, chunk: 4, shard: 8 },
    { name: "x", size: 4096, chunk: 1024, shard: 2048 },
  ],
  streams: 1,
  codec: { name: "none" },
  backend: "cpu",
  allowSoftwareAdapter: false,
  sink: { kind: "discard" },
  durability: "none",
  fill: { name: "zeros", files: [] },
  prefill: true,
  appendBytes: 8192,
  seconds: 0.4,
  encodeThreads: 1,
  copyHelpers: 0,
  batchEpochs: 16,
  ...over,
});

describe("runWriter", () => {
  it("counts all streams together", async () => {
    const fill = simpleFill("zeros", [4096]);
    const [one, two] = [await runWriter(settings({}), fill), await runWriter(settings({ streams: 2 }), fill)];
    expect(one.batchBytes).toBe(16 * 4 * 4096 * 2);
    expect(two.batchBytes).toBe(2 * one.batchBytes);
    expect(two.memory.estimateBytes).toBe(2 * one.memory.estimateBytes);
    for (const run of [one, two]) {
      expect(run.bytesIn).toBe(run.batches * run.batchBytes);
      expect(run.bytesStored).toBeGreaterThanOrEqual(run.bytesIn);
      expect(run.chunksByRoute.cpu * 8192).toBe(run.bytesIn);
      expect(run.stages.find((stage) => stage.name === "encode")?.inBytes).toBe(run.bytesIn);
    }
  });

  it("gives every stream a store of its own", async () => {
    const sink = { kind: "file", folder, directIo: false } as const;
    // Exactly so many batches take as long as they take; without a figure the stores are whole all the same.
    const run = runWriter(settings({ streams: 2, sink, batches: 4 }), simpleFill("rand", [4096]));
    await run.catch((error) => expect(error).toMatchObject({ code: "INSUFFICIENT_COVERAGE" }));
    for (const stream of [0, 1]) {
      const { defects, arrays } = await verifyStore(`${folder}/bench${stream}.zarr`);
      expect(defects).toEqual([]);
      expect(arrays[0].shape[0]).toBeGreaterThanOrEqual(4 * 64);
    }
  });
});
