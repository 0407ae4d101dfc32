import type { WriterOptions } from "../options.js";
import type { MemoryPlan } from "../plan/memory_plan.js";
import { estimateMemory as estimateOn } from "./estimate_memory.js";
import { thisMachine } from "./machine.js";

/**
 * The memory that a writer with these options would allocate on this machine, item by item, without allocating any of
 * it. It is the plan that {@link openWriter} allocates from where the CPU encodes. No GPU is looked for: the `plan` of
 * an open writer has one's memory.
 * @throws MillraceError as {@link openWriter} does for bad options, MEMORY_BUDGET_EXCEEDED among it
 */
export function estimateMemory(options: WriterOptions): MemoryPlan {
  return estimateOn(options, thisMachine());
}
