import { createHash } from "node:crypto";
import { nowNs } from "../base/clock.js";
import { encodeBlosc } from "../codec/encoder/index.js";
import { type ArrayGeometry, describeGeometry } from "../geometry/array_geometry.js";
import { epochTable } from "../geometry/epoch_table.js";
import { type GpuLayout, gpuLayout, gpuLimitsNeeded, OUTPUT_TOTAL_WORDS } from "../plan/gpu_layout.js";
import { findAdapter } from "./adapter.js";
import { type DeviceLease, leaseDevice } from "./device_lease.js";
import { GpuEncoder, kernelPipelines } from "./gpu_encoder.js";
import { kernelPlan } from "./kernels.js";
import { nodeGpu } from "./node_gpu.js";

/** One kernel over one batch. Rates are of raw input bytes, 10^9 a second. */
interface KernelRow {
  readonly kernel: string;
  readonly gbPerS: number;
  readonly ms: number;
}

interface KernelBench {
  readonly rows: readonly KernelRow[];
  /** sha256 over every encoded chunk of the corpus, in order. Equal, or the kernels are wrong. */
  readonly hashGpu: string;
  readonly hashCpu: string;
  readonly copyUpGbPerS: number;
  readonly copyDownGbPerS: number;
}

const CHUNK_ELEMENTS = 256 * 1024;
const REPEATS = 11;

/**
 * Times every kernel by timestamp queries on frames like a camera's, and compares the encoder's output on a fixed
 * corpus with the TypeScript encoder's. For bench/gpu.js.
 * @throws MillraceError BACKEND_UNAVAILABLE
 */
export async function benchKernels(options: {
  readonly allowSoftwareAdapter: boolean;
  readonly log: (line: string) => void;
}): Promise<KernelBench> {
  const { info } = await findAdapter(nodeGpu, options.allowSoftwareAdapter);
  // A software adapter shows that the bytes are right, and takes a second a megabyte.
  const chunks = info.software ? 5 : 128;
  const g = describeGeometry("uint16", [
    { name: "t", size: null, chunk: 1, shard: 1 },
    { name: "x", size: CHUNK_ELEMENTS, chunk: CHUNK_ELEMENTS, shard: CHUNK_ELEMENTS },
  ]);
  const layout = gpuLayout(g, { name: "blosc" }, chunks);
  const lease = await leaseDevice(nodeGpu, options.allowSoftwareAdapter, gpuLimitsNeeded(layout), true);
  const { device } = lease;
  try {
    const errors: string[] = [];
    device.addEventListener("uncapturederror", (event) => {
      errors.push((event as GPUUncapturedErrorEvent).error.message);
    });
    const bench = new Bench(device, g, layout, await makeEncoder(lease, g, layout));
    const corpus = Array.from({ length: chunks }, (_, c) => corpusChunk(c));
    options.log(`corpus of ${chunks} chunks on ${info.name}`);
    const hashGpu = await bench.hash(corpus);
    const hashCpu = hashOnCpu(corpus);
    options.log(hashGpu === hashCpu ? "the bytes are the CPU's" : "THE BYTES DIFFER from the CPU's");
    const frames = Array.from({ length: chunks }, (_, c) => cameraChunk(1000 + c));
    const rows = device.features.has("timestamp-query") ? await bench.time(frames) : [];
    const { up, down } = await bench.copies();
    if (errors.length > 0) throw new Error(errors[0]);
    return { rows, hashGpu, hashCpu, copyUpGbPerS: up, copyDownGbPerS: down };
  } finally {
    await lease.release();
  }
}

async function makeEncoder(lease: DeviceLease, geometry: ArrayGeometry, layout: GpuLayout): Promise<GpuEncoder> {
  const pipelines = await kernelPipelines(lease, layout);
  const init = { geometry, table: epochTable(geometry), layout, fill: new Uint8Array(2), stagingSlots: 1, gpuSlots: 1 };
  return new GpuEncoder(lease, init, pipelines);
}

class Bench {
  readonly #device: GPUDevice;
  readonly #g: ArrayGeometry;
  readonly #layout: GpuLayout;
  readonly #encoder: GpuEncoder;
  #isMapped = true;

  constructor(device: GPUDevice, g: ArrayGeometry, layout: GpuLayout, encoder: GpuEncoder) {
    this.#device = device;
    this.#g = g;
    this.#layout = layout;
    this.#encoder = encoder;
  }

  async hash(chunks: readonly Uint16Array[]): Promise<string> {
    await this.#fill(chunks);
    this.#submit(1);
    const { readback } = this.#encoder.slots[0];
    this.#encoder.submitRest(this.#encoder.slots[0], 0, this.#layout.buffers.readback);
    await readback.mapAsync(1 /* READ */);
    const bytes = new Uint8Array(readback.getMappedRange());
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, OUTPUT_TOTAL_WORDS + 2 * chunks.length);
    const hash = createHash("sha256");
    for (let c = 0; c < chunks.length; c++) {
      const at = this.#layout.dataAt + words[OUTPUT_TOTAL_WORDS + chunks.length + c];
      hash.update(bytes.subarray(at, at + words[OUTPUT_TOTAL_WORDS + c]));
    }
    readback.unmap();
    return hash.digest("hex");
  }

  /** Medians of several batches, a row a kernel and one for all of them. */
  async time(chunks: readonly Uint16Array[]): Promise<KernelRow[]> {
    await this.#fill(chunks);
    const names = kernelPlan(this.#layout, chunks.length).map(({ name }) => name as string);
    const count = 2 * names.length;
    const querySet = this.#device.createQuerySet({ type: "timestamp", count });
    const resolved = this.#device.createBuffer({ size: 8 * count, usage: 0x200 | 0x4 /* QUERY_RESOLVE | COPY_SRC */ });
    const read = this.#device.createBuffer({ size: 8 * count, usage: 0x1 | 0x8 /* MAP_READ | COPY_DST */ });
    const samples: number[][] = [...names, "all kernels"].map(() => []);
    const repeats = this.#layout.taskCountMax > 8 ? REPEATS : 2;
    for (let i = 0; i < repeats; i++) {
      this.#submit(2 + i, querySet);
      const encoder = this.#device.createCommandEncoder();
      encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, read, 0, 8 * count);
      this.#device.queue.submit([encoder.finish()]);
      await read.mapAsync(1 /* READ */);
      const ns = new BigUint64Array(read.getMappedRange());
      for (let k = 0; k < names.length; k++) samples[k].push(Number(ns[2 * k + 1] - ns[2 * k]));
      samples[names.length].push(Number(ns[count - 1] - ns[0]));
      read.unmap();
    }
    const rawBytes = chunks.length * this.#g.chunkBytes;
    return [...names, "all kernels"].map((kernel, k) => {
      const ns = median(samples[k]);
      return { kernel, ms: ns / 1e6, gbPerS: rawBytes / ns };
    });
  }

  /** Host to device and back, as batches take it: mapped memory, one copy. */
  async copies(): Promise<{ up: number; down: number }> {
    await this.#unmapped();
    const { input, output, readback } = this.#encoder.slots[0];
    const [upload] = this.#encoder.uploads;
    const once = async (from: GPUBuffer, to: GPUBuffer, bytes: number): Promise<number> => {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
      const start = nowNs();
      this.#device.queue.submit([encoder.finish()]);
      await this.#device.queue.onSubmittedWorkDone();
      return bytes / (nowNs() - start);
    };
    const up: number[] = [];
    const down: number[] = [];
    for (let i = 0; i < REPEATS; i++) {
      up.push(await once(upload, input, this.#layout.buffers.upload));
      down.push(await once(output, readback, this.#layout.buffers.readback));
    }
    return { up: median(up), down: median(down) };
  }

  #submit(generation: number, timestamps?: GPUQuerySet): void {
    const batch = { epochCount: this.#layout.epochsPerBatch, lastEpochRows: 1, skippedEpochs: undefined };
    this.#encoder.submit(this.#encoder.slots[0], this.#encoder.uploads[0], batch, generation, timestamps);
  }

  async #fill(chunks: readonly Uint16Array[]): Promise<void> {
    const [upload] = this.#encoder.uploads;
    if (!this.#isMapped) await upload.mapAsync(2 /* WRITE */);
    const mapped = new Uint16Array(upload.getMappedRange());
    for (const [c, chunk] of chunks.entries()) mapped.set(chunk, c * CHUNK_ELEMENTS);
    upload.unmap();
    this.#isMapped = false;
  }

  async #unmapped(): Promise<void> {
    if (this.#isMapped) this.#encoder.uploads[0].unmap();
    this.#isMapped = false;
  }
}

function hashOnCpu(chunks: readonly Uint16Array[]): string {
  const hash = createHash("sha256");
  const out = new Uint8Array(2 * CHUNK_ELEMENTS + 16);
  for (const chunk of chunks) {
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    hash.update(out.subarray(0, encodeBlosc(bytes, 2, out)));
  }
  return hash.digest("hex");
}

/** What cameras, labels and empty fields look like, in turns. Depends on nothing but the index. */
function corpusChunk(index: number): Uint16Array<ArrayBuffer> {
  if (index % 5 === 0) return cameraChunk(index);
  const chunk = new Uint16Array(CHUNK_ELEMENTS);
  const next = random(index);
  for (let i = 0; i < chunk.length; i++) {
    const bits = next();
    if (index % 5 === 1) chunk[i] = bits & 0xfff;
    else if (index % 5 === 2) chunk[i] = (i >> 9) & 0x40 ? ((i >> 15) + 1) * 37 : 0;
    else if (index % 5 === 3) chunk[i] = (i % 4096) + (bits & 15) + index;
    else chunk[i] = (bits & 0xffff) < 40 ? bits >>> 16 : 104;
  }
  return chunk;
}

/** An offset, a slow gradient, and noise near a Gaussian's: the sum of random bits. */
function cameraChunk(seed: number): Uint16Array<ArrayBuffer> {
  const chunk = new Uint16Array(CHUNK_ELEMENTS);
  const next = random(seed);
  for (let i = 0; i < chunk.length; i++) {
    let bits = next();
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    const ones = (((bits + (bits >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
    chunk[i] = 100 + 3 * (ones & 0xff) + ((i & 511) >> 3);
  }
  return chunk;
}

/** xorshift32. */
function random(seed: number): () => number {
  let x = (Math.imul(seed + 1, 0x9e3779b1) >>> 0) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
