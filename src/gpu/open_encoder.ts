import { isMillraceError, MillraceError } from "../base/errors.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { epochTable } from "../geometry/epoch_table.js";
import { type GpuLayout, gpuMemory } from "../plan/gpu_layout.js";
import type { GpuAdapterInfo } from "./adapter.js";
import type { DeviceLease } from "./device_lease.js";
import { GpuEncoder, kernelPipelines } from "./gpu_encoder.js";

/**
 * Compiles the kernels, makes the encoder with all its device memory, and turns what WebGPU has against it into an
 * error that names the way out.
 * @throws MillraceError BACKEND_UNAVAILABLE (a kernel or a buffer is refused), DEVICE_OUT_OF_MEMORY
 */
export async function openEncoder(
  lease: DeviceLease,
  layout: GpuLayout,
  init: {
    readonly geometry: ArrayGeometry;
    readonly fill: Uint8Array;
    readonly stagingSlots: number;
    readonly gpuSlots: number;
  },
): Promise<GpuEncoder> {
  const { device, info } = lease;
  const { geometry, stagingSlots, gpuSlots } = init;
  // Compiled before the scopes are open: they belong to the device, and other streams may be at work on it.
  const pipelines = await kernelPipelines(lease, layout).catch((error) => {
    throw isMillraceError(error) ? error : refusedKernels(info, error);
  });
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("internal");
  device.pushErrorScope("validation");
  let encoder: GpuEncoder | undefined;
  let failure: unknown;
  try {
    encoder = new GpuEncoder(lease, { ...init, table: epochTable(geometry), layout }, pipelines);
  } catch (error) {
    failure = error;
  }
  const scopes = [device.popErrorScope(), device.popErrorScope(), device.popErrorScope()];
  const [refused, internal, outOfMemory] = await Promise.all(scopes);
  const error = failure ?? refused ?? internal;
  // A mapped buffer for which there is no memory throws; one on the device reports.
  if (outOfMemory !== null || failure instanceof RangeError) {
    encoder?.destroy();
    throw outOfDeviceMemory(info, layout, stagingSlots, gpuSlots, outOfMemory ?? failure);
  }
  if (encoder === undefined || error !== null) {
    encoder?.destroy();
    throw refusedKernels(info, error);
  }
  return encoder;
}

function refusedKernels(info: GpuAdapterInfo, error: unknown): MillraceError {
  const message = (error as { message?: string } | null)?.message ?? String(error);
  return new MillraceError("BACKEND_UNAVAILABLE", `${info.name} refuses the kernels: ${message}`, {
    context: { adapter: info.name },
    hint: "Use backend cpu, and report this with the adapter's name.",
    cause: error,
  });
}

function outOfDeviceMemory(
  info: GpuAdapterInfo,
  layout: GpuLayout,
  stagingSlots: number,
  gpuSlots: number,
  cause: unknown,
): MillraceError {
  const { deviceBytes, hostBytes } = gpuMemory(layout, stagingSlots, gpuSlots);
  const { epochsPerBatch } = layout;
  return new MillraceError(
    "DEVICE_OUT_OF_MEMORY",
    `batches of ${epochsPerBatch} epochs need ${deviceBytes} bytes of device memory and ${hostBytes} bytes of ` +
      `host-visible memory; ${info.name} could not allocate them.`,
    {
      context: { adapter: info.name, deviceBytes, hostBytes, epochsPerBatch },
      hint:
        epochsPerBatch > 1
          ? `Set batchEpochs to ${Math.ceil(epochsPerBatch / 2)}, which takes half.`
          : "Make chunk of the append dimension smaller, or use backend cpu.",
      cause,
    },
  );
}
