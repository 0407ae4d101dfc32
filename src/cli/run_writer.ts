import { isMillraceError } from "../base/errors.js";
import type { ArrayWriter } from "../index.js";
import type { ProgressSample } from "./progress.js";

/** What `write --json` prints, field by field as documented. */
export interface WriteResult {
  readonly rows: number;
  readonly bytesIn: number;
  readonly bytesStored: number;
  readonly seconds: number;
  readonly backend: string;
  readonly adapter: string;
  readonly chunksByRoute: { readonly cpu: number; readonly gpu: number };
  readonly appendNs: { readonly p50: number; readonly p99: number; readonly p999: number; readonly max: number };
  readonly peakRssBytes: number;
}

/** @param seconds from before the writer was opened until it was closed */
export function writeResult(writer: ArrayWriter, seconds: number): WriteResult {
  const metrics = writer.metrics();
  const { p50, p99, p999, max } = metrics.appendNs;
  return {
    rows: writer.watermarks.published,
    bytesIn: metrics.bytesIn,
    bytesStored: metrics.bytesStored,
    seconds,
    backend: writer.backend,
    adapter: writer.adapter,
    chunksByRoute: { cpu: metrics.chunksByRoute.cpu, gpu: metrics.chunksByRoute.gpu },
    appendNs: { p50, p99, p999, max },
    // maxRSS is in kibibytes on every system.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

export function progressSample(writer: ArrayWriter): ProgressSample {
  const metrics = writer.metrics();
  const encode = metrics.stages.find((stage) => stage.name === "encode");
  return {
    bytesIn: metrics.bytesIn,
    bytesStored: metrics.bytesStored,
    ratio: encode !== undefined && encode.outBytes > 0 ? encode.inBytes / encode.outBytes : null,
    watermarks: writer.watermarks,
    waiting: metrics.waiting,
    slotsBusy: metrics.stagingSlotsBusy,
    slots: metrics.stagingSlots,
  };
}

/**
 * Closes the writer. A row that was begun and not finished is left out of the store, and the writer says so with
 * INCOMPLETE_ROW once everything else is done; the commands know how far their input went and say it in their own
 * words, so it is no failure here.
 */
export async function closeWholeRows(writer: ArrayWriter): Promise<void> {
  try {
    await writer.close();
  } catch (error) {
    if (!isMillraceError(error, "INCOMPLETE_ROW")) throw error;
  }
}

/**
 * After an error: closes the writer, so that what was accepted is kept, and aborts it where closing fails too. The
 * caller reports the error that it has; a writer says its first error again on every later call, so nothing new is lost
 * here.
 * @returns which of the two it was
 */
export async function closeAfterError(writer: ArrayWriter, error: unknown): Promise<"closed" | "aborted"> {
  try {
    await closeWholeRows(writer);
    return "closed";
  } catch {
    await writer.abort(error);
    return "aborted";
  }
}
