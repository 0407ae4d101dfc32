import { MillraceError } from "../base/errors.js";
import type { GpuHost } from "./gpu_host.js";
import { kernelUrl } from "./kernel_urls.js";

/** The browser's own WebGPU. Kernels are fetched from beside this module. */
export const pageGpu: GpuHost = {
  async gpu() {
    const gpu = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
    if (gpu !== undefined) return gpu;
    throw new MillraceError("BACKEND_UNAVAILABLE", "this browser has no WebGPU here.", {
      hint: "It is there on https pages and on 127.0.0.1, in browsers that have it.",
    });
  },
  async kernelText(name) {
    const url = kernelUrl(name);
    try {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      return await response.text();
    } catch (cause) {
      throw new MillraceError("BACKEND_UNAVAILABLE", `${url.href} does not load: ${(cause as Error).message}.`, {
        context: { url: url.href },
        hint: "Serve the folder gpu/kernels of dist/ beside the modules.",
        cause,
      });
    }
  },
};
