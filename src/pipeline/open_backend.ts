import { CpuBackend } from "../cpu/cpu_backend.js";
import { loadAddon } from "../native/binding.js";
import type { OpenBackend } from "./engine.js";

/** The backend of this process. The CPU's, until there is another. */
export const openBackend: OpenBackend = (init, counters) =>
  CpuBackend.open(
    {
      geometry: init.geometry,
      codec: init.codec,
      fill: init.fill,
      memory: init.memory,
      layout: init.memory.outputLayout,
      threads: init.encodeThreads,
      inline: init.inline,
    },
    loadAddon(),
    counters,
  );
