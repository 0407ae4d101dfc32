import { CpuBackend } from "../cpu/cpu_backend.js";
import type { Counters } from "../metrics/counters.js";
import type { NativeAddon } from "../native/addon.js";
import type { EngineInit } from "./messages.js";

/** The CPU's backend, with the addon or without it. */
export function openCpuBackend(
  init: EngineInit,
  counters: Counters,
  addon: NativeAddon | undefined,
): Promise<CpuBackend> {
  return CpuBackend.open(
    {
      geometry: init.geometry,
      codec: init.codec,
      fill: init.fill,
      memory: init.memory,
      layout: init.memory.outputLayout,
      threads: init.encodeThreads,
      inline: init.inline,
    },
    addon,
    counters,
  );
}
