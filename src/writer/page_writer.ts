import type { WriterOptions } from "../options.js";
import type { MemoryPlan } from "../plan/memory_plan.js";
import type { ArrayWriter } from "./array_writer.js";
import { estimateMemory as estimateOn } from "./estimate_memory.js";
import { openWriterOn } from "./open_writer_on.js";
import { pagePlatform } from "./page_platform.js";

/**
 * Opens a new store and starts streaming into it, from a web page or a worker of one. Everything runs on the calling
 * thread, as with `threads: "inline"` in Node, which is the default here and all there is; the stored bytes are the
 * same.
 *
 * The page must be cross-origin isolated: served with the headers `Cross-Origin-Opener-Policy: same-origin` and
 * `Cross-Origin-Embedder-Policy: require-corp`.
 * @throws MillraceError for bad options (INVALID_OPTION, `threads: "workers"` and mode "resume" among them,
 *   UNKNOWN_DTYPE, BAD_GEOMETRY, UNKNOWN_CODEC, CODEC_NOT_ON_BACKEND, NOT_YET), for what a page cannot do
 *   (CODEC_UNAVAILABLE: codec zstd with a level; BACKEND_UNAVAILABLE: `backend: "gpu"` without a GPU, any writer where
 *   the page is not isolated; MEMORY_BUDGET_EXCEEDED), for the store (STORE_EXISTS, SINK_FAILED), and WRITER_ABORTED
 *   when `signal` was aborted
 */
export function openWriter(options: WriterOptions): Promise<ArrayWriter> {
  return openWriterOn(pagePlatform, options);
}

/**
 * The memory that a writer with these options would allocate in this page where the CPU encodes, item by item, without
 * allocating any of it.
 * @throws MillraceError as {@link openWriter} does for bad options, MEMORY_BUDGET_EXCEEDED among it
 */
export function estimateMemory(options: WriterOptions): MemoryPlan {
  return estimateOn(options, pagePlatform.machine());
}
