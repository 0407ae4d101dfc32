/** The whole pipeline on the GPU against the CPU's, object by object and byte by byte. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { DTYPES, type DType } from "../../src/geometry/dtype.js";
import { KERNELS } from "../../src/gpu/kernels.js";
import type { ArrayOptions, WriterOptions } from "../../src/options.js";
import { fileSink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { fillValue } from "../../src/zarr/fill_value.js";
import { makeChunk } from "../helpers/encoder_corpus.js";
import { holdDevice, noGpu, openGpuWriter } from "../helpers/gpu.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { elementBytes, type Operation, type StreamCase, StreamModel, streamCases } from "../helpers/stream_model.js";
import { filesBelow, makeDiskFolder, removeFolder } from "../helpers/temp_folder.js";
import { times } from "../helpers/wide.js";

type Open = (options: WriterOptions) => Promise<ArrayWriter>;
const onCpu: Open = (options) => openWriter({ ...options, backend: "cpu", threads: "inline" });
const onGpu: Open = (options) => openGpuWriter(options);

/** Everything went through the kernels, and nothing went wrong on the way. */
function expectOnGpu(writer: ArrayWriter, warnings: readonly string[]): void {
  expect(warnings).toEqual([]);
  expect(writer.backend).toBe("gpu");
  expect(writer.metrics().chunksByRoute.cpu).toBe(0);
}

function expectSame(got: MapSink, expected: MapSink): void {
  expect([...got.files.keys()].sort()).toEqual([...expected.files.keys()].sort());
  for (const [key, bytes] of expected.files) {
    expect(Buffer.compare(got.files.get(key) as Uint8Array, bytes), key).toBe(0);
  }
}

async function runCase(
  c: StreamCase,
  open: Open,
  check?: typeof expectOnGpu,
): Promise<{ sink: MapSink; model: StreamModel }> {
  const sink = new MapSink();
  const { array, batchEpochs, depth } = c;
  const writer = await open({ sink: inlineSpec(sink), publishIntervalMs: 0, array, batchEpochs, depth });
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => warnings.push(message));
  const model = new StreamModel(writer, fillValue(array.dtype, array.fillValue as number).bytes);
  const pending: Promise<unknown>[] = [];
  for (const operation of c.operations) await model.apply(writer, operation, pending);
  await Promise.all(pending);
  if (model.endsInsideRow) await writer.close().catch(() => {});
  else await writer.close();
  check?.(writer, warnings);
  return { sink, model };
}

/**
 * Cases of {@link streamCases} that a device in software gets through: rows are longer, and there are not many chunks.
 */
const cases = streamCases()
  .filter(({ array }) => !/^zstd:/.test(String(array.codec)))
  .map((c): StreamCase => {
    const last = c.array.dimensions.length - 1;
    const dimensions = c.array.dimensions.map((d, i) => {
      const by = i === last ? 12 : 1;
      const times = (size: number | null | undefined): number | null => (typeof size === "number" ? size * by : null);
      return { ...d, size: times(d.size), chunk: (d.chunk as number) * by, shard: (d.shard as number) * by };
    });
    return { ...c, array: { ...c.array, dimensions } };
  })
  .filter((c) => chunksOf(c) <= 120);

/** Chunks that a case comes to, at most. */
function chunksOf({ array, operations }: StreamCase): number {
  const [append, ...inner] = array.dimensions;
  const rowElements = inner.reduce((product, { size }) => product * (size as number), 1);
  const rows = operations.reduce((sum, operation) => {
    if (operation.kind === "skip") return sum + operation.rows + 1;
    return operation.kind === "flush" ? sum : sum + operation.elements / rowElements;
  }, 1);
  const perEpoch = inner.reduce(
    (product, { size, chunk }) => product * Math.ceil((size as number) / (chunk as number)),
    1,
  );
  return Math.ceil(rows / (append.chunk as number)) * perEpoch;
}

/** What is accepted at once depends on timing; here every element must be. */
function withoutTiming(operations: readonly Operation[]): Operation[] {
  return operations.map((operation) =>
    operation.kind === "tryAppend" || operation.kind === "reserve"
      ? { kind: "append", elements: operation.elements, awaited: true }
      : operation,
  );
}

/** One array, appended in parts. */
async function runArray(
  array: ArrayOptions,
  data: Uint8Array,
  open: Open,
  { split = data.length, ...options }: Partial<WriterOptions> & { readonly split?: number } = {},
  check?: typeof expectOnGpu,
): Promise<MapSink> {
  const sink = new MapSink();
  const writer = await open({ sink: inlineSpec(sink), array, ...options });
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => warnings.push(message));
  for (let at = 0; at < data.length; at += split) await writer.append(data.subarray(at, at + split));
  await writer.close();
  check?.(writer, warnings);
  return sink;
}

describe.skipIf(noGpu)("GPU and CPU store the same bytes", () => {
  const lease = holdDevice();

  // Not in the time of a test that counts its own.
  beforeAll(async () => {
    for (const name of KERNELS) await lease().pipeline(name);
  });

  it("for any array and any sequence of operations", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const same = { ...c, operations: withoutTiming(c.operations) };
        expectSame((await runCase(same, onGpu, expectOnGpu)).sink, (await runCase(same, onCpu)).sink);
      }),
      { numRuns: times(6, 15) },
    );
  });

  it("or what a trivial model holds, where the content depends on timing", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        const { sink, model } = await runCase(c, onGpu, expectOnGpu);
        const array = await openArray(sink.files);
        const { shape } = array.metadata;
        expect(shape[0]).toBe(model.rows);
        const read = await array.readRegion(
          shape.map(() => 0),
          shape,
        );
        expect(Buffer.compare(read.data, model.content())).toBe(0);
      }),
      { numRuns: times(5, 10) },
    );
  });

  it("for every dtype and codec, with edges and a fill value", async () => {
    const small = { y: 13, x: 20 };
    for (const dtype of Object.keys(DTYPES) as DType[]) {
      // The encoder knows widths only; one dtype of each goes through it.
      const encoded = ["uint8", "int16", "float32", "float64"].includes(dtype);
      for (const codec of encoded ? ["none", "blosc", "zstd"] : ["none"]) {
        const array: ArrayOptions = {
          dtype,
          codec,
          fillValue: 3,
          dimensions: [
            { name: "t", size: null, chunk: 2, shard: 4 },
            { name: "y", size: small.y, chunk: 8, shard: 16 },
            { name: "x", size: small.x, chunk: 16, shard: 32 },
          ],
        };
        const data = makeChunk("camera", DTYPES[dtype].itemBytes, 5 * small.y * small.x);
        expectSame(await runArray(array, data, onGpu, {}, expectOnGpu), await runArray(array, data, onCpu));
      }
    }
  });

  it("for any split, depth, batch and way to copy", async () => {
    const array: ArrayOptions = {
      dtype: "uint16",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 6 },
        { name: "y", size: 40, chunk: 24, shard: 48 },
        { name: "x", size: 70, chunk: 64, shard: 64 },
      ],
    };
    const data = makeChunk("bright", 2, 13 * 40 * 70);
    const expected = await runArray(array, data, onCpu);
    const splits = [data.length, 5600, 2 * 40 * 70 * 3, 1022, 64_000];
    for (let i = 0; i < times(6, 20); i++) {
      const options = { split: splits[i % 5], depth: 1 + (i % 4), batchEpochs: 1 + (i % 3) };
      const open: Open = i % 2 === 0 ? onGpu : (given) => openGpuWriter(given, { addon: false });
      expectSame(await runArray(array, data, open, options, expectOnGpu), expected);
    }
  });

  it("when batches come back longer than the first copy is", async () => {
    // Zeros teach the reader of the output to expect little; then comes noise, and more of it than one step.
    const row = 60_000;
    const array: ArrayOptions = {
      dtype: "uint16",
      codec: "zstd",
      dimensions: [
        { name: "t", size: null, chunk: 1, shard: 8 },
        { name: "x", size: row, chunk: row, shard: row },
      ],
    };
    const data = new Uint8Array(8 * row * 2);
    data.set(elementBytes(0, 3 * row, 2), 3 * row * 2);
    for (const codec of ["none", "zstd"]) {
      const options = { batchEpochs: 1, depth: 3 };
      const gpu = await runArray({ ...array, codec }, data, onGpu, options, expectOnGpu);
      expectSame(gpu, await runArray({ ...array, codec }, data, onCpu, options));
    }
  });

  it("for two streams on one device at the same time", async () => {
    const arrays: ArrayOptions[] = ["uint16", "float32"].map((dtype) => ({
      dtype: dtype as DType,
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 4 },
        { name: "x", size: 900, chunk: 500, shard: 1000 },
      ],
    }));
    const data = arrays.map((_, i) => makeChunk("camera", 2 + 2 * i, 20 * 900));
    const sinks = arrays.map(() => new MapSink());
    const writers = await Promise.all(
      arrays.map((array, i) => onGpu({ sink: inlineSpec(sinks[i]), array, batchEpochs: 1 })),
    );
    for (let row = 0; row < 20; row++) {
      for (const [i, writer] of writers.entries()) {
        const bytes = data[i].length / 20;
        void writer.append(data[i].slice(row * bytes, (row + 1) * bytes));
      }
    }
    await Promise.all(writers.map((writer) => writer.close()));
    for (const [i, writer] of writers.entries()) {
      expectOnGpu(writer, []);
      expectSame(sinks[i], await runArray(arrays[i], data[i], onCpu));
    }
  });

  it("in the memory that the plan says, allocated once", async () => {
    const { device } = lease();
    const created = vi.spyOn(device, "createBuffer");
    const array: ArrayOptions = {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 4, shard: 8 },
        { name: "y", size: 256, chunk: 64, shard: 256 },
        { name: "x", size: 256, chunk: 128, shard: 256 },
      ],
    };
    try {
      for (const codec of ["none", "blosc"]) {
        created.mockClear();
        const writer = await onGpu({ sink: inlineSpec(new MapSink()), array: { ...array, codec } });
        const bytes = { device: 0, host: 0 };
        for (const [{ size, usage }] of created.mock.calls)
          bytes[usage & 0x3 /* MAP_READ | MAP_WRITE */ ? "host" : "device"] += size;
        expect(bytes.host).toBe(writer.plan.gpuHost);
        const planned = (writer.plan.gpu as { deviceBytes: number }).deviceBytes;
        expect(bytes.device).toBeGreaterThan(planned);
        expect(bytes.device).toBeLessThan(planned * 1.05);
        const calls = created.mock.calls.length;
        await writer.append(makeChunk("dark", 2, 256 * 256 * 8));
        await writer.close();
        expect(created.mock.calls.length).toBe(calls);
      }
    } finally {
      created.mockRestore();
    }
  });

  it("through direct I/O, whose tail stays on the host between batches", async () => {
    const folder = await makeDiskFolder();
    try {
      const array: ArrayOptions = {
        dtype: "uint16",
        dimensions: [
          { name: "t", size: null, chunk: 1, shard: 16 },
          { name: "x", size: 3001, chunk: 1501, shard: 3002 },
        ],
      };
      const data = makeChunk("camera", 2, 20 * 3001);
      for (const [name, open] of Object.entries({ gpu: onGpu, cpu: onCpu })) {
        const sink = fileSink(join(folder, name), { directIo: "auto" });
        const writer = await open({ sink, array, batchEpochs: 1, durability: "none" });
        await writer.append(data);
        await writer.close();
      }
      const files = await filesBelow(join(folder, "cpu"));
      expect(await filesBelow(join(folder, "gpu"))).toEqual(files);
      for (const file of files) {
        const [gpu, cpu] = ["gpu", "cpu"].map((name) => readFileSync(join(folder, name, file)));
        expect(Buffer.compare(gpu, cpu), file).toBe(0);
      }
    } finally {
      await removeFolder(folder);
    }
  });
});
