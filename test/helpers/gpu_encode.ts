import type { CodecSpec } from "../../src/codec/codec.js";
import type { ArrayGeometry } from "../../src/geometry/array_geometry.js";
import { epochTable } from "../../src/geometry/epoch_table.js";
import type { DeviceLease } from "../../src/gpu/device_lease.js";
import { GpuEncoder, kernelPipelines } from "../../src/gpu/gpu_encoder.js";
import { type GpuLayout, gpuLayout, OUTPUT_TOTAL_WORDS } from "../../src/plan/gpu_layout.js";

/** A batch straight through the kernels, without a writer around it. */
export interface GpuRun {
  /** Encoded chunks by task number; undefined where the epoch was skipped. */
  readonly chunks: readonly (Uint8Array | undefined)[];
  readonly offsets: Uint32Array;
  readonly totalBytes: number;
  readonly layout: GpuLayout;
  /** The kernels' intermediates. */
  readonly blocks: Uint32Array;
  readonly work: Uint32Array;
}

export interface GpuRunOptions {
  readonly epochCount: number;
  readonly lastEpochRows?: number;
  readonly skippedEpochs?: Uint8Array;
  readonly fill?: Uint8Array;
}

export async function runOnGpu(
  lease: DeviceLease,
  geometry: ArrayGeometry,
  codec: CodecSpec,
  input: Uint8Array,
  { epochCount, lastEpochRows = geometry.epochRows, skippedEpochs, fill }: GpuRunOptions,
): Promise<GpuRun> {
  const { device } = lease;
  const layout = gpuLayout(geometry, codec, epochCount);
  const encoder = new GpuEncoder(
    lease,
    {
      geometry,
      table: epochTable(geometry),
      layout,
      fill: fill ?? new Uint8Array(geometry.itemBytes),
      stagingSlots: 1,
      gpuSlots: 1,
    },
    await kernelPipelines(lease, layout),
  );
  try {
    const [slot] = encoder.slots;
    const [upload] = encoder.uploads;
    new Uint8Array(upload.getMappedRange()).set(input);
    upload.unmap();
    encoder.submit(slot, upload, { epochCount, lastEpochRows, skippedEpochs }, 1);
    encoder.submitRest(slot, 0, layout.buffers.readback);
    const { work, blocks } = encoder.intermediates;
    const [out, workBytes, blockBytes] = await Promise.all([
      slot.readback.mapAsync(1).then(() => new Uint8Array(slot.readback.getMappedRange()).slice()),
      contents(device, work),
      contents(device, blocks),
    ]);
    const words = new Uint32Array(out.buffer, 0, OUTPUT_TOTAL_WORDS + 2 * layout.taskCountMax);
    const sizes = words.subarray(OUTPUT_TOTAL_WORDS, OUTPUT_TOTAL_WORDS + layout.taskCountMax);
    const offsets = words.subarray(OUTPUT_TOTAL_WORDS + layout.taskCountMax);
    const chunks = [...sizes].map((size, task) => {
      const at = layout.dataAt + offsets[task];
      return size === 0 ? undefined : out.subarray(at, at + size);
    });
    return { chunks, offsets, totalBytes: words[0], layout, work: workBytes, blocks: blockBytes };
  } finally {
    encoder.destroy();
  }
}

async function contents(device: GPUDevice, buffer: GPUBuffer): Promise<Uint32Array> {
  const copy = device.createBuffer({ size: buffer.size, usage: 0x1 | 0x8 /* MAP_READ | COPY_DST */ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(1);
  const words = new Uint32Array(copy.getMappedRange()).slice();
  copy.destroy();
  return words;
}
