import { encoderKind } from "../codec/codec.js";
import type { SinkSpec } from "../handoff/sink.js";
import type { WriterOptions } from "../options.js";
import { type CheckedOptions, checkWriterOptions, type Machine } from "../options_check.js";
import { type GpuOfPlan, type MemoryPlan, planMemory } from "../plan/memory_plan.js";

/**
 * The memory that a writer with these options allocates, item by item, without allocating any of it.
 * @param machine what defaults depend on.
 * @throws MillraceError what {@link checkWriterOptions} and {@link planMemory} throw, MEMORY_BUDGET_EXCEEDED among it.
 */
export function estimateMemory(options: WriterOptions, machine: Machine): MemoryPlan {
  return planStream(checkWriterOptions(options, machine), options.sink, machine.addon);
}

/** The same for options that are checked: what the writer allocates from. */
export function planStream(checked: CheckedOptions, sink: SinkSpec, addon: boolean, gpu?: GpuOfPlan): MemoryPlan {
  const encodeWorkers = addon && encoderKind(checked.codec) !== "libzstd" ? 0 : checked.encodeThreads;
  const { geometry, codec, batchEpochs, depth, encodeThreads, memoryBudgetBytes } = checked;
  return planMemory({
    geometry,
    codec,
    batchEpochs,
    depth,
    encodeThreads,
    workerThreads: checked.threads === "inline" ? 0 : 2 + encodeWorkers,
    gpu,
    sinkMemoryBytes: (openShards, shardBytesMax) => sink.memoryBytes(openShards, shardBytesMax),
    memoryBudgetBytes,
  });
}
