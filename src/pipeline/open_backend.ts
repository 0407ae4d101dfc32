import { nodeGpu } from "../gpu/node_gpu.js";
import { loadAddon } from "../native/binding.js";
import type { OpenBackend } from "./engine.js";
import { openCpuBackend } from "./open_cpu_backend.js";
import { openGpuBackend } from "./open_gpu_backend.js";

/** The backend of a stream in Node. The package webgpu is loaded when a stream wants a GPU, and not before. */
export const openBackend: OpenBackend = async (init, counters, order, warn) => {
  const addon = loadAddon();
  if (init.gpu === undefined) return openCpuBackend(init, counters, addon);
  return openGpuBackend({ ...init, gpu: init.gpu }, { host: nodeGpu, addon, counters, order, warn });
};
