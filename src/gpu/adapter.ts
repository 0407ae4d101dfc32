import { MillraceError } from "../base/errors.js";
import { exceededLimit, type GpuLimits, limitTooSmall } from "../plan/gpu_layout.js";
import type { GpuHost } from "./gpu_host.js";

/** What is known of an adapter before a device is made of it. Plain data. */
export interface GpuAdapterInfo {
  /** For metrics and messages: device, vendor and driver, as far as WebGPU tells; browsers tell little. */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** WebGPU's spelling of the device's name, in lower case with dashes. */
  readonly device: string;
  /** The driver. */
  readonly description: string;
  /** A processor that pretends to be a GPU: SwiftShader, llvmpipe, WARP. */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: GpuLimits & Readonly<Record<string, number>>;
}

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly info: GpuAdapterInfo;
}

/** Limits that doctor shows and messages name. */
const SHOWN_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const;

/**
 * The adapter that a stream would run on: a high-performance one.
 * @throws MillraceError BACKEND_UNAVAILABLE when there is no WebGPU, no adapter, or only a software one that was not
 * allowed
 */
export async function findAdapter(host: GpuHost, allowSoftware: boolean): Promise<FoundAdapter> {
  const gpu = await host.gpu();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new MillraceError("BACKEND_UNAVAILABLE", "WebGPU is there, but finds no adapter.", {
      hint: "On Linux it needs a Vulkan driver and its loader, libvulkan.so.1. Run `millrace doctor`.",
    });
  }
  const info = describeAdapter(adapter);
  if (info.software && !allowSoftware) {
    throw new MillraceError("BACKEND_UNAVAILABLE", `the only adapter is ${info.name}, which is software.`, {
      context: { adapter: info.name },
      hint: "It is slower than the CPU path; allowSoftwareAdapter: true takes it all the same, for tests.",
    });
  }
  return { adapter, info };
}

/** What WebGPU tells of an adapter. */
export function describeAdapter(adapter: GPUAdapter): GpuAdapterInfo {
  const { vendor, architecture, device, description } = adapter.info;
  const isFallback =
    (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter ??
    (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter;
  const text = `${device} ${description} ${architecture}`;
  const limits: Record<string, number> = {};
  for (const name of SHOWN_LIMITS) limits[name] = adapter.limits[name] as number;
  const name = device || description || architecture || "unnamed adapter";
  const more = [vendor, description].filter((part) => part !== "" && part !== name);
  return {
    name: [name, ...more].join(", "),
    vendor,
    architecture,
    device,
    description,
    software: isFallback === true || /swiftshader|llvmpipe|lavapipe|basic render/i.test(text),
    features: [...adapter.features].sort(),
    limits: limits as GpuAdapterInfo["limits"],
  };
}

/** What every device has, by WebGPU. */
const DEFAULT_LIMITS: GpuLimits = { maxBufferSize: 268435456, maxStorageBufferBindingSize: 134217728 };

/**
 * A device with the largest buffers that the adapter gives, since streams share it; checked against what it says that
 * it has.
 * @throws MillraceError BACKEND_UNAVAILABLE, which names the limit that is too small
 */
export async function openDevice(found: FoundAdapter, needed: GpuLimits, timestamps = false): Promise<GPUDevice> {
  const { adapter, info } = found;
  const names = Object.keys(DEFAULT_LIMITS) as (keyof GpuLimits)[];
  const requiredLimits: Record<string, number> = {};
  for (const name of names) requiredLimits[name] = Math.max(DEFAULT_LIMITS[name], info.limits[name]);
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      requiredLimits,
      requiredFeatures: timestamps && adapter.features.has("timestamp-query") ? ["timestamp-query"] : [],
    });
  } catch (cause) {
    throw new MillraceError("BACKEND_UNAVAILABLE", `${info.name} gives no device: ${(cause as Error).message}.`, {
      context: { adapter: info.name },
      cause,
    });
  }
  const tooSmall = exceededLimit(needed, device.limits);
  if (tooSmall !== undefined) {
    device.destroy();
    await device.lost;
    throw limitTooSmall(tooSmall, info.name);
  }
  return device;
}
