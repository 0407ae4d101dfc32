import { readdir, readFile } from "node:fs/promises";
import { isMainThread } from "node:worker_threads";
import { MillraceError } from "../base/errors.js";
import { orderingFromEnvironment } from "../slots/ordering.js";
import type { GpuHost } from "./gpu_host.js";
import { kernelUrl } from "./kernel_urls.js";

/**
 * What `create()` gave on this thread. It must stay reachable for as long as a device lives or a map is pending: when
 * it is collected before, or while the process leaves, the binding aborts the process.
 */
let held: GPU | undefined;

const ends = new Set<() => void>();

/** Drivers have threads of their own: while they work on a batch, `exit` pulls from under them what they use. */
function endAll(): void {
  if (orderingFromEnvironment().off.includes("EXIT_HANDSHAKE")) return;
  for (const end of ends) end();
}

/** Devices in /dev through which drivers reach a GPU: DRM, NVIDIA, WSL, and those of ARM boards. */
const GPU_DEVICES = /^(nvidia(\d+|ctl)|dxg|mali\d*|kgsl-3d0|nvhost-gpu|nvgpu|pvr\w*)$/;

/** @param list names in a folder of /dev; rejects where it is not there */
export async function hasGpuDevice(list: (folder: string) => Promise<readonly string[]>): Promise<boolean> {
  const namesOf = (folder: string): Promise<readonly string[]> => list(folder).catch(() => []);
  const [devices, cards] = await Promise.all([namesOf("/dev"), namesOf("/dev/dri")]);
  return devices.some((name) => GPU_DEVICES.test(name)) || cards.some((name) => name.startsWith("renderD"));
}

/** WebGPU of the npm package `webgpu`, an optional peer: loaded when it is first asked for. */
export const nodeGpu: GpuHost = {
  async gpu() {
    if (held !== undefined) return held;
    try {
      const { create } = await import("webgpu");
      held = create([]) as GPU;
      return held;
    } catch (cause) {
      const missing = (cause as { code?: string }).code === "ERR_MODULE_NOT_FOUND";
      throw new MillraceError(
        "BACKEND_UNAVAILABLE",
        missing
          ? "the package webgpu is not installed."
          : `the package webgpu does not load: ${(cause as Error).message}.`,
        {
          hint: missing
            ? "Install it beside millrace, which does without unless asked: npm install webgpu."
            : undefined,
          cause,
        },
      );
    }
  },
  async mayHaveGpu() {
    // Elsewhere the system's own library answers, in silence.
    return process.platform !== "linux" || (await hasGpuDevice(readdir));
  },
  atExit(end) {
    // A worker's device is its engine's to end, which the exit hook of the pipeline waits for.
    if (!isMainThread) return () => {};
    if (ends.size === 0) process.on("exit", endAll);
    ends.add(end);
    return () => {
      ends.delete(end);
      if (ends.size === 0) process.off("exit", endAll);
    };
  },
  kernelText: (name) => readFile(kernelUrl(name), "utf8"),
};
