import { pageGpu } from "../gpu/page_gpu.js";
import type { OpenBackend } from "./engine.js";
import { openCpuBackend } from "./open_cpu_backend.js";
import { openGpuBackend } from "./open_gpu_backend.js";

/** The backend of a web page, which has no addon. */
export const openPageBackend: OpenBackend = async (init, counters, order, warn) => {
  if (init.gpu === undefined) return openCpuBackend(init, counters, undefined);
  return openGpuBackend({ ...init, gpu: init.gpu }, { host: pageGpu, addon: undefined, counters, order, warn });
};
