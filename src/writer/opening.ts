import { MillraceError } from "../base/errors.js";
import { unlessAborted } from "../base/unless_aborted.js";

/** @param when "before the writer opened", for the message */
export function openingAborted(signal: AbortSignal, when: string): MillraceError {
  return new MillraceError("WRITER_ABORTED", `the signal was aborted ${when}.`, {
    context: { option: "signal" },
    cause: signal.reason,
  });
}

/**
 * A step of opening, up to the signal: what is asked of a device, a disk or a bucket may never be answered. The step
 * goes on then, and its outcome is dropped; who begins one that leaves something behind ends it himself.
 * @throws MillraceError WRITER_ABORTED at once when the signal aborts
 */
export async function whileOpening<T>(step: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await unlessAborted(step, signal);
  } catch (error) {
    if (signal?.aborted) throw openingAborted(signal, "while the writer opened");
    throw error;
  }
}
