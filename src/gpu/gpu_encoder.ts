import { alignUp } from "../base/integers.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { EpochTable } from "../geometry/epoch_table.js";
import type { GpuLayout } from "../plan/gpu_layout.js";
import type { DeviceLease } from "./device_lease.js";
import {
  BINDINGS,
  dispatchSize,
  type KernelName,
  type KernelParams,
  kernelPlan,
  PARAMS_BYTES,
  paramWords,
} from "./kernels.js";
import { type KernelTables, kernelTables } from "./tables.js";

/** What of a slot's readback buffer is copied first; grows with what batches turn out to be. */
const READBACK_STEP_BYTES = 65536;

interface GpuEncoderInit {
  readonly geometry: ArrayGeometry;
  readonly table: EpochTable;
  readonly layout: GpuLayout;
  /** One element of padding. */
  readonly fill: Uint8Array;
  readonly stagingSlots: number;
  readonly gpuSlots: number;
}

type KernelPipelines = ReadonlyMap<KernelName, GPUComputePipeline>;

/** The kernels that batches of this layout need, compiled. Rejects with what WebGPU has against them. */
export async function kernelPipelines(lease: DeviceLease, layout: GpuLayout): Promise<KernelPipelines> {
  const compiled = kernelPlan(layout, 1).map(async ({ name }) => [name, await lease.pipeline(name)] as const);
  // Not before the last one: what compiles behind a failure would be left to a thread that ends, which the binding does
  // not survive.
  await Promise.allSettled(compiled);
  return new Map(await Promise.all(compiled));
}

/** One batch, as the kernels need it. */
interface GpuBatch {
  readonly epochCount: number;
  readonly lastEpochRows: number;
  readonly skippedEpochs: Uint8Array | undefined;
}

/** Device memory of a batch that is under way, beside what all batches share. */
export interface GpuSlot {
  readonly input: GPUBuffer;
  readonly output: GPUBuffer;
  readonly readback: GPUBuffer;
  readonly bindGroup: GPUBindGroup;
}

/**
 * The encoder of docs/encoder.md as a chain of kernels on one device. It makes pipelines and buffers once and records
 * one submit a batch; who may use a slot when is not decided here. What lies between input and output is shared by all
 * slots: a queue runs its submits one after the other, so a batch has been read before the next one overwrites it.
 */
export class GpuEncoder {
  readonly device: GPUDevice;
  readonly layout: GpuLayout;
  readonly slots: readonly GpuSlot[];
  /** Buffers that the producer's bytes come in by, mapped when made; one a staging slot. */
  readonly uploads: readonly GPUBuffer[];
  readonly #init: GpuEncoderInit;
  readonly #tables: KernelTables;
  readonly #shared: Readonly<Record<"params" | "tables" | "planes" | "work" | "blocks" | "payload", GPUBuffer>>;
  readonly #pipelines: KernelPipelines;
  #skipsWritten = false;
  #readbackBytes: number;

  /** Allocates everything. What WebGPU lacks it reports to the error scopes around this. */
  constructor({ device, bindGroupLayout }: DeviceLease, init: GpuEncoderInit, pipelines: KernelPipelines) {
    this.device = device;
    this.layout = init.layout;
    this.#init = init;
    this.#pipelines = pipelines;
    this.#tables = kernelTables(init.geometry, init.table, init.layout.epochsPerBatch);
    const { buffers } = init.layout;
    const made: GPUBuffer[] = [];
    const buffer = (label: string, size: number, usage: number, mappedAtCreation = false): GPUBuffer => {
      try {
        made.push(device.createBuffer({ label, size: alignUp(size, 4), usage, mappedAtCreation }));
      } catch (error) {
        // A collector that does not see device memory would leave the others for long, on a device that other streams
        // use.
        for (const other of made) other.destroy();
        throw error;
      }
      return made[made.length - 1];
    };
    const { MAP_READ, MAP_WRITE, COPY_SRC, COPY_DST, UNIFORM, STORAGE } = BUFFER_USAGE;
    this.#shared = {
      params: buffer("params", PARAMS_BYTES, UNIFORM | COPY_DST),
      tables: buffer("tables", this.#tables.words.byteLength, STORAGE | COPY_DST),
      planes: buffer("planes", buffers.planes, STORAGE),
      work: buffer("work", buffers.work, STORAGE | COPY_SRC | COPY_DST),
      blocks: buffer("blocks", buffers.blocks, STORAGE | COPY_SRC),
      payload: buffer("payload", buffers.payload, STORAGE),
    };
    this.slots = Array.from({ length: init.gpuSlots }, () => {
      const input = buffer("input", buffers.input, STORAGE | COPY_DST);
      const output = buffer("output", buffers.output, STORAGE | COPY_SRC | COPY_DST);
      const readback = buffer("readback", buffers.readback, MAP_READ | COPY_DST);
      const bound = { ...this.#shared, input, output };
      const entries = BINDINGS.map((name, binding) => ({ binding, resource: { buffer: bound[name] } }));
      return { input, output, readback, bindGroup: device.createBindGroup({ layout: bindGroupLayout, entries }) };
    });
    this.uploads = Array.from({ length: init.stagingSlots }, () =>
      buffer("upload", buffers.upload, MAP_WRITE | COPY_SRC, true),
    );
    device.queue.writeBuffer(this.#shared.tables, 0, this.#tables.words);
    this.#readbackBytes = this.#atMost(READBACK_STEP_BYTES);
  }

  /** What lies between the kernels, of the batch that was submitted last; for tests. */
  get intermediates(): { readonly work: GPUBuffer; readonly blocks: GPUBuffer } {
    return this.#shared;
  }

  /**
   * Records and submits one batch whose bytes are in the upload buffer, which must be unmapped. Returns how many bytes
   * of the output are on their way to the readback buffer. `generation` comes back in the output's second word.
   * @param timestamps two a kernel, in the order of {@link kernelPlan}; for benchmarks: it takes a pass a kernel
   */
  submit(slot: GpuSlot, upload: GPUBuffer, batch: GpuBatch, generation: number, timestamps?: GPUQuerySet): number {
    const { device, layout } = this;
    const { geometry: g } = this.#init;
    const taskCount = batch.epochCount * layout.chunksPerEpoch;
    const usedBytes = (batch.epochCount - 1) * g.epochBytes + batch.lastEpochRows * g.rowBytes;
    device.queue.writeBuffer(this.#shared.params, 0, paramWords(this.#params(batch, generation)));
    this.#writeSkips(batch);

    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(upload, 0, slot.input, 0, alignUp(usedBytes, 4));
    // Neighbouring blocks meet inside words, which are or-ed into zeros.
    encoder.clearBuffer(slot.output);
    if (layout.framesAt > layout.periodsAt) {
      encoder.clearBuffer(this.#shared.work, 4 * layout.periodsAt, 4 * (layout.framesAt - layout.periodsAt));
    }
    this.#record(encoder, slot, taskCount, timestamps);
    const bytes = layout.dataAt + this.#readbackBytes;
    encoder.copyBufferToBuffer(slot.output, 0, slot.readback, 0, bytes);
    device.queue.submit([encoder.finish()]);
    return bytes;
  }

  /** Lets go of all memory. Maps that are pending are rejected. Idempotent. */
  destroy(): void {
    const own = this.slots.flatMap(({ input, output, readback }) => [input, output, readback]);
    for (const buffer of [...own, ...this.uploads, ...Object.values(this.#shared)]) buffer.destroy();
  }

  /** Copies the rest of a batch's output, from byte `from` on, to the same place of the readback buffer. */
  submitRest(slot: GpuSlot, from: number, to: number): void {
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(slot.output, from, slot.readback, from, alignUp(to, 4) - from);
    this.device.queue.submit([encoder.finish()]);
  }

  /** What a batch came to; the next one's first copy is made a little larger, so that a second is rare. */
  learn(dataBytes: number): void {
    this.#readbackBytes = this.#atMost(readbackGuess(dataBytes));
  }

  #record(encoder: GPUCommandEncoder, slot: GpuSlot, taskCount: number, timestamps: GPUQuerySet | undefined): void {
    let pass: GPUComputePassEncoder | undefined;
    kernelPlan(this.layout, taskCount).forEach(({ name, groups }, k) => {
      if (pass === undefined || timestamps !== undefined) {
        pass?.end();
        const timestampWrites = timestamps && {
          querySet: timestamps,
          beginningOfPassWriteIndex: 2 * k,
          endOfPassWriteIndex: 2 * k + 1,
        };
        pass = encoder.beginComputePass({ timestampWrites });
        pass.setBindGroup(0, slot.bindGroup);
      }
      pass.setPipeline(this.#pipelines.get(name) as GPUComputePipeline);
      pass.dispatchWorkgroups(...dispatchSize(groups));
    });
    pass?.end();
  }

  #atMost(bytes: number): number {
    return Math.min(alignUp(bytes, 4), alignUp(this.layout.dataBytesMax, 4));
  }

  #params(batch: GpuBatch, generation: number): KernelParams {
    const { geometry: g, fill } = this.#init;
    const padded = new Uint8Array(8);
    padded.set(fill);
    const words = new Uint32Array(padded.buffer);
    return {
      ...this.layout,
      ...this.#tables,
      epochCount: batch.epochCount,
      epochBytes: g.epochBytes,
      epochRows: g.epochRows,
      lastEpochRows: batch.lastEpochRows,
      taskCount: batch.epochCount * this.layout.chunksPerEpoch,
      fillLow: words[0],
      fillHigh: words[1],
      generation: generation >>> 0,
    };
  }

  /**
   * The queue keeps writes and submits in order, so the table may change between two batches that are both under way.
   */
  #writeSkips(batch: GpuBatch): void {
    const { skippedEpochs } = batch;
    if (skippedEpochs === undefined && !this.#skipsWritten) return;
    const words = new Uint32Array(this.layout.epochsPerBatch);
    for (let e = 0; e < words.length && skippedEpochs !== undefined; e++)
      words[e] = (skippedEpochs[e >> 3] >> (e & 7)) & 1;
    this.device.queue.writeBuffer(this.#shared.tables, 4 * this.#tables.skippedAt, words);
    this.#skipsWritten = skippedEpochs !== undefined;
  }
}

/** What of the next batch to copy, where the last one took so many bytes. */
export function readbackGuess(dataBytes: number): number {
  // No shift: a batch may have 2 GiB and more, and shifts are signed.
  return dataBytes + Math.floor(dataBytes / 16) + READBACK_STEP_BYTES;
}

/** GPUBufferUsage, by WebGPU §"Buffer Usages": Node's global scope does not hold it. */
const BUFFER_USAGE = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
} as const;
