import { availableParallelism, totalmem } from "node:os";
import { loadAddon } from "../native/binding.js";
import type { Machine } from "../options_check.js";

/** Cores and memory of this process: the container's limits where there are any. */
export function thisMachine(): Machine {
  const limit = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  // Without a limit, Node answers 0 or a number far above any memory.
  return {
    cores: availableParallelism(),
    memoryBytes: limit > 0 && limit < total ? limit : total,
    addon: loadAddon() !== undefined,
  };
}
