import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WriterOptions } from "../../src/options.js";
import { fileSink, memorySink } from "../../src/sinks/specs.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost } from "../helpers/gpu_faults.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { elementBytes } from "../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/**
 * A GPU that is not there, is too small, or refuses: `gpu` says so and leaves nothing behind, `auto` goes on without.
 */

let folder: string;
beforeAll(async () => {
  folder = await makeTempFolder();
});
afterAll(() => removeFolder(folder));

const ROWS = 24;
const ROW_BYTES = 2 * 400;
const array: WriterOptions["array"] = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 8 },
    { name: "x", size: 400, chunk: 100, shard: 200 },
  ],
};
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

/** What fails once the threads have started, when the store is made already; and what each says. */
const LATE: readonly [string, () => FaultyHost, string, RegExp][] = [
  [
    "an adapter without a device",
    () => new FaultyHost({ refuseDevice: true }),
    "BACKEND_UNAVAILABLE",
    /no device today/,
  ],
  [
    "a device with less than its adapter said",
    () => new FaultyHost({ granted: { maxStorageBufferBindingSize: 2048 } }),
    "BACKEND_UNAVAILABLE",
    /maxStorageBufferBindingSize \d+, but .* has 2048/,
  ],
  [
    "a kernel that is not compiled",
    () => new FaultyHost({ kernels: { offsets: "fn main() { this is no kernel }" } }),
    "BACKEND_UNAVAILABLE",
    /refuses the kernels/,
  ],
  [
    "a host without kernels",
    () => {
      const host = new FaultyHost();
      host.kernelText = () => Promise.reject(new Error("injected: no such file"));
      return host;
    },
    "BACKEND_UNAVAILABLE",
    /no such file/,
  ],
  ["a buffer that the device refuses", () => offended(), "BACKEND_UNAVAILABLE", /usage/],
  [
    "no memory on the device",
    () => starved(),
    "DEVICE_OUT_OF_MEMORY",
    /bytes of device memory and .* could not allocate them/,
  ],
  ...[1, 4, 9, 13].map((nth): [string, () => FaultyHost, string, RegExp] => [
    `no memory of the host for buffer ${nth}`,
    () => {
      const host = new FaultyHost();
      host.at("createBuffer", nth, () => {
        throw new RangeError("injected: cannot map");
      });
      return host;
    },
    "DEVICE_OUT_OF_MEMORY",
    /host-visible memory/,
  ]),
];

function starved(): FaultyHost {
  const host = new FaultyHost();
  host.at("createBuffer", 3, (call, device) => {
    device.outOfMemory = true;
    return call();
  });
  return host;
}

function offended(): FaultyHost {
  const host = new FaultyHost();
  host.at("createBuffer", 3, (call, device) => {
    device.offend();
    return call();
  });
  return host;
}

/** Every device is gone, with its buffers. */
async function nothingLeft(host: FaultyHost): Promise<void> {
  for (const { device, buffers } of host.devices) {
    expect(await Promise.race([device.lost.then(() => "gone"), turn("there")])).toBe("gone");
    expect(buffers.size).toBe(0);
  }
}

async function heard(writer: ArrayWriter): Promise<string[]> {
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => {
    if (/GPU|limits/.test(message)) warnings.push(message);
  });
  await writer.append(data);
  await writer.close();
  return warnings;
}

describe.skipIf(noGpu)("backend gpu", () => {
  it.each(LATE)("does not open with %s", async (_, makeHost, code, message) => {
    const host = makeHost();
    const sink = new MapSink();
    const opening = openGpuWriter({ sink: inlineSpec(sink), batchEpochs: 2, array }, { host });
    await expect(opening).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(sink.closed).toBe(true);
    await nothingLeft(host);
    // What was wrong has gone: nothing of the failure is remembered.
    host.faults = {};
    host.kernelText = FaultyHost.prototype.kernelText;
    const writer = await openGpuWriter({ sink: memorySink(), batchEpochs: 2, array }, { host });
    expect(await heard(writer)).toEqual([]);
    expect(writer.metrics().chunksByRoute.cpu).toBe(0);
    await nothingLeft(host);
  });

  it("says what half of the memory would do where memory is short", async () => {
    const host = starved();
    await expect(openGpuWriter({ sink: memorySink(), batchEpochs: 4, array }, { host })).rejects.toMatchObject({
      context: { epochsPerBatch: 4, deviceBytes: expect.any(Number), hostBytes: expect.any(Number) },
      hint: expect.stringContaining("batchEpochs to 2"),
    });
  });

  it.each([
    ["no adapter", () => new FaultyHost({ none: true }), undefined, /finds no adapter/],
    [
      "batches that its limits do not hold",
      () => new FaultyHost({ limits: { maxBufferSize: 4096 } }),
      4,
      /maxBufferSize \d+, but .* has 4096/,
    ],
    [
      "an epoch that its limits do not hold",
      () => new FaultyHost({ limits: { maxStorageBufferBindingSize: 1024 } }),
      undefined,
      /maxStorageBufferBindingSize \d+, but .* has 1024/,
    ],
  ])("does not open with %s, and makes no store", async (_, makeHost, batchEpochs, message) => {
    const path = join(folder, "never.zarr");
    const host = makeHost();
    await expect(openGpuWriter({ sink: fileSink(path), batchEpochs, array }, { host })).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      message: expect.stringMatching(message),
    });
    expect(existsSync(path)).toBe(false);
    expect(host.devices.length).toBe(0);
  });

  it("makes batches smaller where limits ask for it, and says so", async () => {
    const free = await openGpuWriter({ sink: memorySink(), array }, { host: new FaultyHost() });
    const usual = free.plan.epochsPerBatch;
    await free.abort();
    const host = new FaultyHost({ limits: { maxBufferSize: 65536, maxStorageBufferBindingSize: 65536 } });
    const writer = await openGpuWriter({ sink: memorySink(), array }, { host });
    expect(writer.plan.epochsPerBatch).toBeLessThan(usual);
    expect(await heard(writer)).toEqual([expect.stringMatching(/^A batch holds \d+ epochs instead of \d+ .* limits/)]);
    expect(writer.metrics().chunksByRoute).toMatchObject({ cpu: 0, gpu: (ROWS / 2) * 4 });
  });
});

describe.skipIf(noGpu)("backend auto", () => {
  it.each(LATE)("goes on without a GPU, with one warning, after %s", async (_, makeHost, __, message) => {
    const host = makeHost();
    host.faults = { ...host.faults, hardware: true };
    const sink = memorySink();
    const writer = await openGpuWriter({ sink, backend: "auto", batchEpochs: 2, array }, { host });
    expect(writer.backend).toBe("cpu");
    expect(await heard(writer)).toEqual([expect.stringMatching(message)]);
    expect(writer.metrics().chunksByRoute).toMatchObject({ cpu: (ROWS / 2) * 4, gpu: 0 });
    await nothingLeft(host);
  });

  it.each([
    ["batches", 4, { maxBufferSize: 4096 }],
    ["one epoch", undefined, { maxStorageBufferBindingSize: 1024 }],
  ])("goes on without a GPU, with one warning, where its limits do not hold %s", async (_, batchEpochs, limits) => {
    const host = new FaultyHost({ hardware: true, limits });
    const writer = await openGpuWriter({ sink: memorySink(), backend: "auto", batchEpochs, array }, { host });
    expect(writer.backend).toBe("cpu");
    expect(await heard(writer)).toEqual([expect.stringMatching(/^No GPU, the CPU encodes: a batch needs max/)]);
    expect(host.devices.length).toBe(0);
  });

  it("goes on without a GPU where a batch has more than the kernels address, whatever the adapter has", async () => {
    const limits = { maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: 2 ** 40 };
    const host = new FaultyHost({ hardware: true, limits });
    // Chunks of one byte take little on the CPU, and 2,800 bytes each of the tables on a GPU.
    const dimensions = [
      { name: "t", size: null, chunk: 1, shard: 1 },
      { name: "x", size: 40, chunk: 1, shard: 40 },
    ];
    const bytes = { dtype: "uint8" as const, codec: "zstd" as const, dimensions };
    const options = { sink: memorySink(), batchEpochs: 65_536, array: bytes };
    const writer = await openGpuWriter({ ...options, backend: "auto" }, { host });
    expect(writer.backend).toBe("cpu");
    expect(writer.plan.reductions).toEqual([
      expect.stringMatching(
        /^No GPU, the CPU encodes: a batch needs a buffer of 7\d{9} bytes .* the kernels address 42/,
      ),
    ]);
    await writer.close();
    const asked = openGpuWriter({ ...options, sink: memorySink(), backend: "gpu" }, { host });
    await expect(asked).rejects.toMatchObject({
      code: "BACKEND_UNAVAILABLE",
      context: { limit: "KERNEL_BUFFER_BYTES_MAX" },
    });
    expect(host.devices.length).toBe(0);
  });

  it("takes a GPU that is there", async () => {
    const host = new FaultyHost({ hardware: true });
    const writer = await openGpuWriter({ sink: memorySink(), backend: "auto", array }, { host });
    expect(writer.backend).toBe("gpu");
    expect(await heard(writer)).toEqual([]);
    expect(writer.metrics().chunksByRoute.cpu).toBe(0);
  });

  // Nothing was promised, so there is nothing to warn of.
  it.each([
    ["no adapter", { none: true }],
    ["a software adapter only", {}],
  ])("encodes on the CPU with %s", async (_, faults) => {
    const writer = await openGpuWriter(
      { sink: memorySink(), backend: "auto", array },
      { host: new FaultyHost(faults) },
    );
    expect(writer.backend).toBe("cpu");
    expect(await heard(writer)).toEqual([]);
  });
});
