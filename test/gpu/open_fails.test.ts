/** A GPU that is there and cannot be used, or not with the memory allowed. */
import { describe, expect, it } from "vitest";
import { describeAdapter } from "../../src/gpu/adapter.js";
import type { GpuHost } from "../../src/gpu/gpu_host.js";
import { nodeGpu } from "../../src/gpu/node_gpu.js";
import { estimateMemory, memorySink } from "../../src/index.js";
import type { WriterOptions } from "../../src/options.js";
import { openGpuBackend } from "../../src/pipeline/open_gpu_backend.js";
import { startInline } from "../../src/pipeline/start_inline.js";
import { nodePlatform } from "../../src/writer/node_platform.js";
import { openWriterOn } from "../../src/writer/open_writer_on.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";

const ELEMENTS = 4096;
const OPTIONS: WriterOptions = {
  sink: memorySink(),
  array: { dtype: "uint16", codec: "none", dimensions: [{ name: "t", size: null, chunk: ELEMENTS }] },
  batchEpochs: 1,
};

/** As the package webgpu is in Electron. `maps`: ranges that may be asked for before one is refused. */
function forbidding(maps: number): GpuHost {
  let left = maps;
  return {
    ...nodeGpu,
    async gpu() {
      const gpu = await nodeGpu.gpu();
      const requestAdapter = async (options?: GPURequestAdapterOptions): Promise<GPUAdapter | null> => {
        const adapter = await gpu.requestAdapter(options);
        if (adapter === null) return null;
        const requestDevice = adapter.requestDevice.bind(adapter);
        adapter.requestDevice = async (descriptor) => {
          const device = await requestDevice(descriptor);
          const createBuffer = device.createBuffer.bind(device);
          device.createBuffer = (given) => {
            const buffer = createBuffer(given);
            const getMappedRange = buffer.getMappedRange.bind(buffer);
            buffer.getMappedRange = (...range) => {
              if (left-- > 0) return getMappedRange(...range);
              throw new Error("External buffers are not allowed");
            };
            return buffer;
          };
          return device;
        };
        return adapter;
      };
      return { requestAdapter } as GPU;
    },
  };
}

describe.skipIf(noGpu).each([0, 1])("mapped memory that cannot be reached, after %i ranges", (maps) => {
  it("is BACKEND_UNAVAILABLE for backend gpu", async () => {
    const opened = openGpuWriter({ ...OPTIONS, sink: memorySink() }, { host: forbidding(maps) });
    await expect(opened).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringMatching(/does not work: External buffers are not allowed\..*Electron/),
    });
  });

  it("makes auto encode on the CPU, and warn", async () => {
    const host = forbidding(maps);
    const writer = await openWriterOn(
      {
        ...nodePlatform,
        gpuHost: async () => host,
        startThreads: async (_, init) =>
          startInline(init, (engine, counters, order, warn) => {
            if (engine.gpu === undefined) throw new Error("the stream was planned for the CPU");
            const gpu = { ...engine.gpu, required: false };
            return openGpuBackend({ ...engine, gpu }, { host, addon: nodePlatform.addon(), counters, order, warn });
          }),
      },
      { ...OPTIONS, sink: memorySink(), backend: "gpu", allowSoftwareAdapter: true, threads: "inline" },
    );
    expect(writer.backend).toBe("cpu");
    await writer.append(Uint16Array.from({ length: 3 * ELEMENTS }, (_, i) => i));
    await writer.close();
    expect(writer.metrics().chunksByRoute).toEqual({ cpu: 3, gpu: 0 });
  });
});

it("lets auto take the CPU where the budget is too small for a GPU", async () => {
  const limits = { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 };
  const adapter = { info: { vendor: "v", architecture: "", device: "card", description: "" }, features: [], limits };
  expect(describeAdapter(adapter as unknown as GPUAdapter).software).toBe(false);
  const host = { ...nodeGpu, gpu: async () => ({ requestAdapter: async () => adapter }) as unknown as GPU };
  const options: WriterOptions = { ...OPTIONS, sink: memorySink(), depth: 2, threads: "inline" };
  const { totalBytes, threads } = estimateMemory(options);
  const memoryBudgetBytes = totalBytes - threads;
  const platform = { ...nodePlatform, gpuHost: async () => host };
  await expect(openWriterOn(platform, { ...options, memoryBudgetBytes, backend: "gpu" })).rejects.toMatchObject({
    code: "MEMORY_BUDGET_EXCEEDED",
  });
  const writer = await openWriterOn(platform, { ...options, memoryBudgetBytes });
  expect(writer).toMatchObject({ backend: "cpu", plan: { gpu: undefined } });
  await writer.abort();
});
