import type { WriterOptions } from "../options.js";
import type { ArrayWriter } from "./array_writer.js";
import { nodePlatform } from "./node_platform.js";
import { openWriterOn } from "./open_writer_on.js";

/**
 * Opens a store and starts streaming into it: a new one, or with mode "resume" one that is there, behind its last row.
 *
 * When it resolves, the store exists and is valid Zarr v3 with length 0 along the append dimension, or the length that
 * it had; all memory is allocated and both threads run. Mode "resume" has read the rows of an epoch that is not full,
 * and copied the row of shards that it goes on in; that row's shards are replaced when they are sealed, and nothing
 * else in the store is changed before.
 * @throws MillraceError for bad options (INVALID_OPTION, UNKNOWN_DTYPE, BAD_GEOMETRY, UNKNOWN_CODEC,
 *   CODEC_NOT_ON_BACKEND, NOT_YET), for what this machine cannot do (CODEC_UNAVAILABLE, BACKEND_UNAVAILABLE,
 *   MEMORY_BUDGET_EXCEEDED), for the store (STORE_EXISTS, PERMISSION_DENIED, DISK_FULL, SINK_FAILED; for mode "resume"
 *   also STORE_NOT_FOUND, STORE_NOT_CLOSED, RESUME_MISMATCH, STORE_UNSUPPORTED, STORE_CORRUPT, STORE_READ_FAILED),
 *   THREAD_FAILED, and WRITER_ABORTED when `signal` was aborted
 */
export function openWriter(options: WriterOptions): Promise<ArrayWriter> {
  return openWriterOn(nodePlatform, options);
}
