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
  /** What it gives can be destroyed in earnest. */
  readonly ownDevice?: boolean;
}

/**
 * The device that all hosts of a test file look like having for themselves. What is compiled is kept: compiling takes a
 * software device longer than all else that these tests do.
 */
let shared: Promise<GPUDevice> | undefined;
const kept: GPUComputePipeline[] = [];

/** WebGPU of this machine, with failures: each host has devices of its own, or that look so. */
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
    const { limits, granted, hardware, refuseDevice, ownDevice = false } = this.faults;
    const named = { vendor: "faulty", architecture: "", device: "", description: "a faulty GPU" };
    return {
      info: hardware ? named : adapter.info,
      features: adapter.features,
      limits: laidOver(adapter.limits, limits),
      requestDevice: async () => {
        if (refuseDevice) throw new Error("injected: no device today");
        const make = async (): Promise<GPUDevice> => ((await find()) as GPUAdapter).requestDevice();
        shared ??= make();
        return this.#wrap(ownDevice ? await make() : await shared, !ownDevice, granted);
      },
    } as unknown as GPUAdapter;
  }

  #take(step: GpuStep, device: FaultyDevice, call: () => unknown): unknown {
    let instead: Instead | undefined;
    for (const plan of this.#plans) if (plan.step === step && --plan.left === 0) instead = plan.instead;
    return instead === undefined ? call() : instead(call, device);
  }

  /** A device of its own, to look at; where the one behind it is shared, it ends without that one. */
  #wrap(device: GPUDevice, isShared: boolean, granted?: Readonly<Record<string, number>>): GPUDevice {
    let lose = (_: GPUDeviceLostInfo): void => {};
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
      lose = resolve;
    });
    void device.lost.then(lose);
    const { queue } = device;
    let crashed = false;
    const maps = new Set<(error: Error) => void>();
    const gone = (): Error => new Error("injected: the device is gone");
    const listeners = new Set<Parameters<GPUDevice["addEventListener"]>>();
    const scopes: GPUErrorFilter[] = [];
    const computes = new WeakSet<GPUCommandBuffer>();
    const own: Record<string, unknown> = {
      lost,
      limits: laidOver(device.limits, granted),
      queue: {
        onSubmittedWorkDone: () => queue.onSubmittedWorkDone(),
        writeBuffer: (...given: Parameters<GPUQueue["writeBuffer"]>) => queue.writeBuffer(...given),
        submit: (commands: GPUCommandBuffer[]) =>
          this.#take(computes.has(commands[0]) ? "submit" : "submit rest", faulty, () => {
            if (!crashed) queue.submit(commands);
          }),
      },
      pushErrorScope: (filter: GPUErrorFilter) => {
        scopes.push(filter);
        device.pushErrorScope(filter);
      },
      popErrorScope: async () => {
        const filter = scopes.pop();
        const error = await device.popErrorScope();
        if (filter === "out-of-memory" && faulty.outOfMemory) return { message: "injected: no memory left" };
        return error;
      },
      createBuffer: (descriptor: GPUBufferDescriptor) =>
        this.#take("createBuffer", faulty, () => this.#patchBuffer(faulty, device.createBuffer(descriptor))),
      createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) => {
        const pipeline = await device.createComputePipelineAsync(descriptor);
        if (isShared) kept.push(pipeline);
        return pipeline;
      },
      createCommandEncoder: (descriptor: GPUCommandEncoderDescriptor) => {
        const encoder = device.createCommandEncoder(descriptor);
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
      },
      addEventListener: (...given: Parameters<GPUDevice["addEventListener"]>) => {
        listeners.add(given);
        device.addEventListener(...given);
      },
      destroy: () => {
        if (!isShared) {
          device.destroy();
          return;
        }
        // As a device's end does: its memory is gone, and nobody hears of the other one any more.
        for (const buffer of faulty.buffers) buffer.destroy();
        for (const [type, listener] of listeners) device.removeEventListener(type, listener);
        lose({ reason: "destroyed", message: "destroyed" } as GPUDeviceLostInfo);
      },
    };
    const wrapped = new Proxy(device, {
      get: (target, name) => {
        if (typeof name === "string" && name in own) return own[name];
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const faulty: FaultyDevice = {
      device: wrapped,
      buffers: new Set(),
      outOfMemory: false,
      offend: () => void device.createBuffer({ size: 4, usage: 0 }),
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
    return wrapped;
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
