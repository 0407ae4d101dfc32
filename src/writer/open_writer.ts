import { MillraceError } from "../base/errors.js";
import { codecProvider } from "../codec/open_encoder.js";
import type { WriterOptions } from "../options.js";
import { checkWriterOptions } from "../options_check.js";
import { ArrayWriter } from "./array_writer.js";
import { planStream } from "./estimate_memory.js";
import { thisMachine } from "./machine.js";

/**
 * Opens a new store and starts streaming into it.
 *
 * When it resolves, the store exists and is valid Zarr v3 with length 0 along the append dimension; all memory is allocated
 * and both threads run.
 * @throws MillraceError for bad options (INVALID_OPTION, UNKNOWN_DTYPE, BAD_GEOMETRY, UNKNOWN_CODEC, CODEC_NOT_ON_BACKEND,
 *   NOT_YET), for what this machine cannot do (CODEC_UNAVAILABLE, BACKEND_UNAVAILABLE, MEMORY_BUDGET_EXCEEDED), for the store
 *   (STORE_EXISTS, PERMISSION_DENIED, DISK_FULL, SINK_FAILED), THREAD_FAILED, and WRITER_ABORTED when `signal` was aborted
 */
export async function openWriter(options: WriterOptions): Promise<ArrayWriter> {
  const machine = thisMachine();
  const checked = checkWriterOptions(options, machine);
  if (checked.backend === "gpu") {
    throw new MillraceError("BACKEND_UNAVAILABLE", 'backend "gpu" is not part of this version.', {
      context: { option: "backend" },
      hint: 'Use backend "cpu" or "auto".',
    });
  }
  if (options.signal?.aborted) {
    throw new MillraceError("WRITER_ABORTED", "the signal was aborted before the writer opened.", {
      context: { option: "signal" },
      cause: options.signal.reason,
    });
  }
  const plan = planStream(checked, options.sink, machine.addon);
  // Before anything is allocated or created: a codec that is missing here is missing on every thread.
  await codecProvider(checked.codec, undefined);
  return ArrayWriter.start(checked, options, plan);
}
