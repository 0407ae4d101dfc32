import type { GpuHost } from "../../src/gpu/gpu_host.js";
import { nodeGpu } from "../../src/gpu/node_gpu.js";

/** What a stream does with its device, by the names of WebGPU. `rest` is a readback's second part. */
export type GpuStep =
  | "createBuffer"
  | "submit"
  | "submit rest"
  | "unmap upload"
  | "map upload"
  | "map readback"
  | "map rest"
  | "read readback";

export type Instead = (call: () => unknown, device: FaultyDevice) => unknown;

/** A real device that can be told to fail at any step. */
export interface FaultyDevice {
  readonly device: GPUDevice;
  /** Buffers that were made and not destroyed. */
  readonly buffers: Set<GPUBuffer>;
  /** While true, every scope for it reports that memory ran out. */
  outOfMemory: boolean;
  /** Does something invalid, for the innermost scope of that kind or, outside of any, `uncapturederror`. */
  offend(): void;
  /** Makes `device.lost` resolve, while all else goes on to work. */
  loseQuietly(): void;
  /**
   * What a crash of the driver is: the device is lost, maps are rejected, commands do nothing, and what is mapped stays
   * mapped. `device.destroy()` unmaps it as well, at once and behind the back of a producer that copies into it through
   * the addon: nobody but the last lease may call that, and a test only without the addon.
   */
  crash(): void;
  /** A map that a crash rejects. */
  mapped(map: () => Promise<undefined>): Promise<undefined>;
}

export interface AdapterFaults {
  /** Limits that the adapter says it has. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Limits that its devices turn out to have. */
  readonly granted?: Readonly<Record<string, number>>;
  readonly none?: boolean;
  /** Says that it is no software, so that `backend: "auto"` takes it. */
  readonly hardware?: boolean;
  readonly refuseDevice?: boolean;
  /** By name of the kernel; common is one. */
  readonly kernels?: Readonly<Record<string, string>>;
}

/** WebGPU of this machine, with failures: each host has devices of its own. */
export class FaultyHost implements GpuHost {
  readonly devices: FaultyDevice[] = [];
  /** May be changed between two streams. */
  faults: AdapterFaults;
  readonly #plans: { readonly step: GpuStep; left: number; readonly instead: Instead }[] = [];
  readonly #gpu: GPU;
  #found: Promise<GPUAdapter | null> | undefined;

  constructor(faults: AdapterFaults = {}) {
    this.faults = faults;
    this.#gpu = { requestAdapter: (options: GPURequestAdapterOptions) => this.#requestAdapter(options) } as GPU;
  }

  /** The device that was made last. */
  get device(): FaultyDevice {
    return this.devices[this.devices.length - 1];
  }

  /** Runs `instead` at the `nth` time from now that a device takes that step. */
  at(step: GpuStep, nth: number, instead: Instead): void {
    this.#plans.push({ step, left: nth, instead });
  }

  async gpu(): Promise<GPU> {
    return this.#gpu;
  }

  async kernelText(name: string): Promise<string> {
    return this.faults.kernels?.[name] ?? nodeGpu.kernelText(name);
  }

  async #requestAdapter(options: GPURequestAdapterOptions): Promise<GPUAdapter | null> {
    if (this.faults.none) return null;
    // One adapter to look at and a fresh one a device: each gives one device only.
    const find = async (): Promise<GPUAdapter | null> => (await nodeGpu.gpu()).requestAdapter(options);
    this.#found ??= find();
    const adapter = await this.#found;
    if (adapter === null) return null;
    const { limits, granted, hardware, refuseDevice } = this.faults;
    const named = { vendor: "faulty", architecture: "", device: "", description: "a faulty GPU" };
    return {
      info: hardware ? named : adapter.info,
      features: adapter.features,
      limits: laidOver(adapter.limits, limits),
      requestDevice: async () => {
        if (refuseDevice) throw new Error("injected: no device today");
        const device = await ((await find()) as GPUAdapter).requestDevice();
        if (granted !== undefined) replace(device, "limits", laidOver(device.limits, granted));
        return this.#patch(device);
      },
    } as unknown as GPUAdapter;
  }

  #take(step: GpuStep, device: FaultyDevice, call: () => unknown): unknown {
    let instead: Instead | undefined;
    for (const plan of this.#plans) if (plan.step === step && --plan.left === 0) instead = plan.instead;
    return instead === undefined ? call() : instead(call, device);
  }

  #patch(device: GPUDevice): GPUDevice {
    let lose = (_: GPUDeviceLostInfo): void => {};
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
      lose = resolve;
    });
    void device.lost.then(lose);
    replace(device, "lost", lost);
    const { createBuffer, createCommandEncoder, pushErrorScope, popErrorScope, queue } = device;
    let crashed = false;
    const maps = new Set<(error: Error) => void>();
    const gone = (): Error => new Error("injected: the device is gone");
    const faulty: FaultyDevice = {
      device,
      buffers: new Set(),
      outOfMemory: false,
      offend: () => void createBuffer.call(device, { size: 4, usage: 0 }),
      loseQuietly: () => lose({ reason: "unknown", message: "injected: lost" } as GPUDeviceLostInfo),
      crash() {
        crashed = true;
        for (const reject of maps) reject(gone());
        faulty.loseQuietly();
      },
      mapped: async (map) => {
        if (crashed) throw gone();
        return new Promise<undefined>((resolve, reject) => {
          maps.add(reject);
          map()
            .then(resolve, reject)
            .finally(() => maps.delete(reject));
        });
      },
    };
    this.devices.push(faulty);

    const scopes: GPUErrorFilter[] = [];
    replace(device, "pushErrorScope", (filter: GPUErrorFilter) => {
      scopes.push(filter);
      return pushErrorScope.call(device, filter);
    });
    replace(device, "popErrorScope", async () => {
      const filter = scopes.pop();
      const error = await popErrorScope.call(device);
      if (filter === "out-of-memory" && faulty.outOfMemory) return { message: "injected: no memory left" };
      return error;
    });
    replace(device, "createBuffer", (descriptor: GPUBufferDescriptor) => {
      const make = () => this.#patchBuffer(faulty, createBuffer.call(device, descriptor));
      return this.#take("createBuffer", faulty, make);
    });
    const computes = new WeakSet<GPUCommandBuffer>();
    replace(device, "createCommandEncoder", (descriptor: GPUCommandEncoderDescriptor) => {
      const encoder = createCommandEncoder.call(device, descriptor);
      const { beginComputePass, finish } = encoder;
      let isBatch = false;
      replace(encoder, "beginComputePass", (pass: GPUComputePassDescriptor) => {
        isBatch = true;
        return beginComputePass.call(encoder, pass);
      });
      replace(encoder, "finish", () => {
        const commands = finish.call(encoder);
        if (isBatch) computes.add(commands);
        return commands;
      });
      return encoder;
    });
    replace(device, "queue", {
      onSubmittedWorkDone: () => queue.onSubmittedWorkDone(),
      writeBuffer: (...given: Parameters<GPUQueue["writeBuffer"]>) => queue.writeBuffer(...given),
      submit: (commands: GPUCommandBuffer[]) =>
        this.#take(computes.has(commands[0]) ? "submit" : "submit rest", faulty, () => {
          if (!crashed) queue.submit(commands);
        }),
    });
    return device;
  }

  #patchBuffer(faulty: FaultyDevice, buffer: GPUBuffer): GPUBuffer {
    const { mapAsync, unmap, getMappedRange, destroy } = buffer;
    faulty.buffers.add(buffer);
    replace(buffer, "destroy", () => {
      faulty.buffers.delete(buffer);
      destroy.call(buffer);
    });
    if (buffer.label !== "upload" && buffer.label !== "readback") return buffer;
    replace(buffer, "mapAsync", (mode: number, from?: number, bytes?: number) => {
      const step = buffer.label === "upload" ? "map upload" : (from ?? 0) > 0 ? "map rest" : "map readback";
      return this.#take(step, faulty, () => faulty.mapped(() => mapAsync.call(buffer, mode, from, bytes)));
    });
    if (buffer.label === "upload") {
      replace(buffer, "unmap", () => this.#take("unmap upload", faulty, () => unmap.call(buffer)));
    } else {
      replace(buffer, "getMappedRange", (from?: number, bytes?: number) =>
        this.#take("read readback", faulty, () => getMappedRange.call(buffer, from, bytes)),
      );
    }
    return buffer;
  }
}

function replace(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, configurable: true });
}

function laidOver(limits: GPUSupportedLimits, other: Readonly<Record<string, number>> = {}): GPUSupportedLimits {
  return new Proxy(limits, { get: (target, name) => other[name as string] ?? Reflect.get(target, name) });
}
