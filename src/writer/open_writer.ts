import type { WriterOptions } from "../options.js";
import type { ArrayWriter } from "./array_writer.js";
import { nodePlatform } from "./node_platform.js";
import { openWriterOn } from "./open_writer_on.js";

/**
 * Opens a new store and starts streaming into it.
 *
 * When it resolves, the store exists and is valid Zarr v3 with length 0 along the append dimension; all memory is allocated
 * and both threads run.
 * @throws MillraceError for bad options (INVALID_OPTION, UNKNOWN_DTYPE, BAD_GEOMETRY, UNKNOWN_CODEC, CODEC_NOT_ON_BACKEND,
 *   NOT_YET), for what this machine cannot do (CODEC_UNAVAILABLE, BACKEND_UNAVAILABLE, MEMORY_BUDGET_EXCEEDED), for the store
 *   (STORE_EXISTS, PERMISSION_DENIED, DISK_FULL, SINK_FAILED), THREAD_FAILED, and WRITER_ABORTED when `signal` was aborted
 */
export function openWriter(options: WriterOptions): Promise<ArrayWriter> {
  return openWriterOn(nodePlatform, options);
}
