import { isMillraceError } from "../base/errors.js";
import { GpuBackend, type GpuBackendLinks } from "../gpu/gpu_backend.js";
import type { Backend } from "../handoff/backend.js";
import type { EngineInit, GpuRequest } from "./messages.js";
import { openCpuBackend } from "./open_cpu_backend.js";

/** The GPU's backend; the CPU's instead, with a warning, where a GPU is not required and none can be opened. */
export async function openGpuBackend(
  init: EngineInit & { readonly gpu: GpuRequest },
  links: Omit<GpuBackendLinks, "openFallback">,
): Promise<Backend> {
  const openFallback = (): Promise<Backend> => openCpuBackend(init, links.counters, links.addon);
  try {
    return await GpuBackend.open(
      {
        geometry: init.geometry,
        codec: init.codec,
        fill: init.fill,
        memory: init.memory,
        epochsPerBatch: init.memory.outputLayout.epochsPerBatch,
        gpuSlots: init.gpu.slots,
        allowSoftwareAdapter: init.gpu.allowSoftwareAdapter,
      },
      { ...links, openFallback },
    );
  } catch (error) {
    if (init.gpu.required || !isMillraceError(error)) throw error;
    links.warn(`no GPU, the CPU encodes: ${error.message}`);
    return openFallback();
  }
}
