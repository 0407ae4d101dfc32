import { describeAdapter, type GpuAdapterInfo, openDevice } from "./adapter.js";
import type { GpuHost } from "./gpu_host.js";
import { KERNEL_LIMITS } from "./kernels.js";

/** One adapter of a machine, and what Millrace thinks of it. Plain data. */
export interface SurveyedAdapter extends GpuAdapterInfo {
  /** Streams ask WebGPU for its high-performance adapter, and this is the one. */
  readonly isAskedFor: boolean;
  /** Limits that are less than the kernels need. */
  readonly tooSmall: readonly { readonly limit: string; readonly needed: number; readonly granted: number }[];
  /** Why no device can be made of it; null when one was made. */
  readonly deviceError: string | null;
  /** Whether streams run on it that say nothing about their backend. */
  readonly isTaken: boolean;
}

/** WebGPU has no list of adapters; these are all the ways to ask for one. The first is what streams do. */
const REQUESTS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

/**
 * Every adapter that WebGPU gives to any request, each once, after making a device of it and letting that go again. For
 * doctor.
 * @throws MillraceError BACKEND_UNAVAILABLE where there is no WebGPU; having no adapter is an empty list
 */
export async function surveyAdapters(host: GpuHost): Promise<SurveyedAdapter[]> {
  const gpu = await host.gpu();
  const found = new Map<string, SurveyedAdapter>();
  for (const request of REQUESTS) {
    const adapter = await gpu.requestAdapter(request);
    if (adapter === null) continue;
    const info = describeAdapter(adapter);
    const identity = JSON.stringify(info);
    if (found.has(identity)) continue;
    const tooSmall = Object.entries(KERNEL_LIMITS)
      .map(([limit, needed]) => ({ limit, needed, granted: info.limits[limit] }))
      .filter(({ needed, granted }) => granted < needed);
    const isAskedFor = request === REQUESTS[0];
    const deviceError = await tryDevice(adapter, info);
    const isTaken = isAskedFor && !info.software && tooSmall.length === 0 && deviceError === null;
    found.set(identity, { ...info, isAskedFor, tooSmall, deviceError, isTaken });
  }
  return [...found.values()];
}

async function tryDevice(adapter: GPUAdapter, info: GpuAdapterInfo): Promise<string | null> {
  try {
    const device = await openDevice({ adapter, info }, { maxBufferSize: 0, maxStorageBufferBindingSize: 0 });
    device.destroy();
    await device.lost;
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
