import type { CodecSpec } from "../../src/codec/codec.js";
import type { ArrayGeometry } from "../../src/geometry/array_geometry.js";
import { exceededLimit, type GpuLayout, gpuLayout, gpuLimitsNeeded } from "../../src/plan/gpu_layout.js";

const ANY = { maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: 2 ** 40 };

/** The layout of as many epochs as the kernels address, whatever the device; undefined where one is too much. */
export function largestLayout(g: ArrayGeometry, codec: CodecSpec): GpuLayout | undefined {
  let low = 0;
  let high = Math.ceil(2 ** 32 / g.epochBytes);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (exceededLimit(gpuLimitsNeeded(gpuLayout(g, codec, middle)), ANY) === undefined) low = middle;
    else high = middle;
  }
  return low === 0 ? undefined : gpuLayout(g, codec, low);
}
