import { MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { unlessAborted } from "../base/unless_aborted.js";
import { MARKER_KEY } from "../journal/writer_marker.js";
import type { WriterOptions } from "../options.js";
import { type CheckedOptions, checkWriterOptions, type Machine } from "../options_check.js";
import { notClosed } from "../sinks/not_closed.js";
import { readMetadata } from "../store/array_layout.js";
import { type ArrayReader, openNode } from "../store/array_reader.js";
import { parseMetadata } from "../zarr/parse_metadata.js";
import { compareArray, type Difference } from "./compare_array.js";
import { type ExistingStore, existingStore } from "./existing_store.js";
import { completeArray } from "./stored_options.js";

/** Where a stream goes on. The store stays open for reading until it is disposed. */
export interface ResumePoint extends AsyncDisposable {
  /** Options with what the store adds to them. */
  readonly checked: CheckedOptions;
  /** Length of the append dimension. */
  readonly rows: number;
  /** The store's zarr.json. */
  readonly metadata: Uint8Array;
  /** For the rows of the last epoch, where it is not full. */
  readonly array: ArrayReader;
}

/**
 * Checks that the store behind `options.sink` can be continued with `options.array`, and changes nothing in it.
 * Caller's thread.
 * @throws MillraceError STORE_NOT_FOUND, STORE_NOT_CLOSED, RESUME_MISMATCH with all differences, STORE_UNSUPPORTED or
 *   STORE_CORRUPT for metadata that cannot be read, INVALID_OPTION for a sink that cannot, WRITER_ABORTED as soon as
 *   the signal aborts, and what reading rejects with
 */
export async function findResumePoint(options: WriterOptions, machine: Machine): Promise<ResumePoint> {
  const existing = existingStore(options.sink);
  try {
    return await unlessAborted(resumePointIn(existing, options, machine), options.signal);
  } catch (error) {
    // Ends what is being read, too.
    await existing[Symbol.asyncDispose]();
    if (!options.signal?.aborted) throw error;
    throw new MillraceError("WRITER_ABORTED", "the signal was aborted while the store was read.", {
      context: { option: "signal", location: options.sink.location },
      cause: options.signal.reason,
    });
  }
}

async function resumePointIn(existing: ExistingStore, options: WriterOptions, machine: Machine): Promise<ResumePoint> {
  const { objects } = existing;
  if ((await objects.size(MARKER_KEY)) !== undefined) throw notClosed(objects.location, MARKER_KEY);
  const metadata = await readMetadata(objects, "");
  if (metadata === undefined) throw notFound(objects.location);
  const stored = parseMetadata(metadata);
  if (stored.nodeType === "group") {
    throw mismatch(objects.location, [{ field: "node", stored: "a group", given: "an array" }]);
  }
  const array = completeArray(options.array, stored);
  const checked = checkWriterOptions({ ...options, array }, machine);
  const differences = compareArray(stored, checked, options.array);
  if (differences.length > 0) throw mismatch(objects.location, differences);
  return {
    checked,
    rows: stored.shape[0],
    metadata,
    array: await openNode(objects, ""),
    [Symbol.asyncDispose]: () => existing[Symbol.asyncDispose](),
  };
}

function notFound(location: string): MillraceError {
  return new MillraceError("STORE_NOT_FOUND", `${location} holds no ${METADATA_NAME}, and the mode is "resume".`, {
    context: { location, key: METADATA_NAME },
    hint: 'Check the place, or use mode: "create" to begin a store.',
  });
}

function mismatch(location: string, differences: readonly Difference[]): MillraceError {
  const listed = differences.map(({ field, stored, given }) => `${field} is ${stored} in the store, not ${given}`);
  return new MillraceError("RESUME_MISMATCH", `${location} cannot be continued like this: ${listed.join("; ")}.`, {
    context: {
      location,
      fields: differences.map(({ field }) => field),
      stored: differences.map(({ stored }) => stored),
      given: differences.map(({ given }) => given),
    },
    hint: "Say what the store says (`storedArrayOptions` returns it), or write a new store.",
  });
}
