import { exceededLimit, type GpuLimits } from "../plan/gpu_layout.js";
import { type FoundAdapter, findAdapter, type GpuAdapterInfo, openDevice } from "./adapter.js";
import type { GpuHost } from "./gpu_host.js";
import { BINDINGS, type BindingName, type KernelName, kernelSource } from "./kernels.js";

/** A device that streams of one thread share, and its compiled kernels. */
export interface DeviceLease {
  /**
   * Not to be destroyed by anybody but {@link release}: that unmaps memory which another thread may be copying into.
   */
  readonly device: GPUDevice;
  readonly info: GpuAdapterInfo;
  readonly bindGroupLayout: GPUBindGroupLayout;
  /** Compiled when first asked for. Rejects with what WebGPU reports. */
  pipeline(name: KernelName): Promise<GPUComputePipeline>;
  /** The device is not given to anybody else: it is lost, or it refused something. */
  abandon(): void;
  /** The last one destroys the device. Resolves when it is gone, or at once while others use it. Idempotent. */
  release(): Promise<void>;
}

interface Shared {
  readonly device: GPUDevice;
  readonly info: GpuAdapterInfo;
  readonly bindGroupLayout: GPUBindGroupLayout;
  readonly pipelines: Map<KernelName, Promise<GPUComputePipeline>>;
  leases: number;
  /** Its last lease was given back: it is destroyed. */
  ended: boolean;
}

/**
 * Compiling the kernels takes far longer than anything else about a stream, so streams of one thread share a device.
 */
const open = new Map<GpuHost, Promise<Shared>>();

/**
 * @param timestamps a device of its own, which can time its passes where the adapter lets it
 * @throws MillraceError BACKEND_UNAVAILABLE
 */
export async function leaseDevice(
  host: GpuHost,
  allowSoftware: boolean,
  needed: GpuLimits,
  timestamps = false,
): Promise<DeviceLease> {
  const found = await findAdapter(host, allowSoftware);
  let known = timestamps ? undefined : open.get(host);
  while (known !== undefined) {
    // Why another stream got no device is no answer to this one, which needs something else of it.
    const shared = await known.catch(() => undefined);
    // While this one waited, the last stream on that device may have closed.
    if (shared !== undefined && !shared.ended && exceededLimit(needed, shared.device.limits) === undefined) {
      return lease(host, known, shared);
    }
    const now = open.get(host);
    known = now === known ? undefined : now;
  }
  const made = makeShared(host, found, needed, timestamps);
  if (!timestamps) {
    open.set(host, made);
    const gone = (): void => forget(host, made);
    made.then(({ device }) => device.lost.then(gone), gone);
  }
  return lease(host, made, await made);
}

/** Counts one more user, in the same turn in which it was seen that the device is there. */
function lease(host: GpuHost, own: Promise<Shared>, shared: Shared): DeviceLease {
  const { device, info, bindGroupLayout, pipelines } = shared;
  shared.leases++;
  let released: Promise<void> | undefined;
  return {
    device,
    info,
    bindGroupLayout,
    pipeline(name) {
      let pipeline = pipelines.get(name);
      if (pipeline === undefined) {
        pipeline = compile(device, bindGroupLayout, name, host);
        pipelines.set(name, pipeline);
      }
      return pipeline;
    },
    abandon: () => forget(host, own),
    release() {
      released ??= releaseShared(host, own, shared);
      return released;
    },
  };
}

async function releaseShared(host: GpuHost, own: Promise<Shared>, shared: Shared): Promise<void> {
  if (--shared.leases > 0) return;
  shared.ended = true;
  forget(host, own);
  shared.device.destroy();
  await shared.device.lost;
}

function forget(host: GpuHost, own: Promise<Shared>): void {
  if (open.get(host) === own) open.delete(host);
}

async function makeShared(host: GpuHost, found: FoundAdapter, needed: GpuLimits, timestamps: boolean): Promise<Shared> {
  const device = await openDevice(found, needed, timestamps);
  const unregisterExitHook = host.atExit?.(() => device.destroy());
  void device.lost.then(unregisterExitHook);
  const bindGroupLayout = device.createBindGroupLayout({
    entries: BINDINGS.map((name, binding) => ({
      binding,
      visibility: 4 /* COMPUTE */,
      buffer: { type: bindingType(name) },
    })),
  });
  const shared: Shared = { device, info: found.info, bindGroupLayout, pipelines: new Map(), leases: 0, ended: false };
  return shared;
}

async function compile(
  device: GPUDevice,
  bindGroupLayout: GPUBindGroupLayout,
  name: KernelName,
  host: GpuHost,
): Promise<GPUComputePipeline> {
  const module = device.createShaderModule({ label: name, code: await kernelSource(name, host) });
  return device.createComputePipelineAsync({
    label: name,
    layout: device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] }),
    compute: { module, entryPoint: "main" },
  });
}

function bindingType(name: BindingName): GPUBufferBindingType {
  if (name === "params") return "uniform";
  return name === "tables" || name === "input" ? "read-only-storage" : "storage";
}
