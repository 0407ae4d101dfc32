import { codecBound, codecJson } from "../codec/codec.js";
import type { WriterOptions } from "../options.js";
import type { CheckedOptions } from "../options_check.js";
import type { ResumeFrom } from "../pipeline/messages.js";
import type { StreamMemory } from "../pipeline/stream_memory.js";
import type { StreamThreadsInit } from "../pipeline/stream_threads.js";
import type { MemoryPlan } from "../plan/memory_plan.js";
import { orderingFromEnvironment } from "../slots/ordering.js";
import { streamAttributes } from "./stream_attributes.js";

/**
 * What both threads of a stream are started with. Call it once a stream: some sinks give a fresh port each time they
 * are asked.
 */
export function streamInit(
  checked: CheckedOptions,
  options: WriterOptions,
  memory: StreamMemory,
  plan: MemoryPlan,
  resume?: ResumeFrom,
): StreamThreadsInit {
  const { geometry, codec } = checked;
  const { sink } = options;
  const ordering = orderingFromEnvironment();
  return {
    engine: {
      geometry,
      codec,
      fill: checked.fill.bytes,
      memory,
      ordering,
      firstRow: resume === undefined ? 0 : resume.rows - (resume.rows % geometry.epochRows),
      encodeThreads: checked.encodeThreads,
      maxBatchAgeMs: checked.maxBatchAgeMs,
      maxPendingBytes: checked.maxPendingBytes ?? Number.POSITIVE_INFINITY,
      gpu: plan.gpu && {
        slots: plan.gpu.slots,
        allowSoftwareAdapter: checked.allowSoftwareAdapter,
        required: checked.backend === "gpu",
      },
      inline: checked.threads === "inline",
    },
    delivery: {
      geometry,
      memory,
      ordering,
      sink: { kind: sink.kind, location: sink.location, options: sink.options },
      mode: checked.mode,
      resume: resume && { rows: resume.rows, metadata: resume.metadata },
      durability: checked.durability,
      publishIntervalMs: checked.publishIntervalMs,
      metadata: {
        codecs: codecJson(codec, geometry.dtype),
        fill: checked.fill,
        attributes: streamAttributes(checked),
      },
      chunkBytesMax: codecBound(codec, geometry.chunkBytes),
    },
    transfer: sink.transfer ?? [],
    sinkInstance: sink.instance,
  };
}
