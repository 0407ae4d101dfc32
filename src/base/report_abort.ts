import { MillraceError } from "./errors.js";

/**
 * Settles as `work` does; where that rejects with the signal's own reason, the caller gets a MillraceError CALL_ABORTED
 * with the reason as its cause. Code below throws the bare reason, so that what waits inside it need not know whose
 * signal it has. An error of another kind stays what it is, also after an abort: it tells more.
 * @param call the public function, for the message
 * @throws MillraceError CALL_ABORTED
 */
export async function reportAbort<T>(
  call: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted !== true || error !== signal.reason) throw error;
    throw new MillraceError("CALL_ABORTED", `${call} was aborted by its signal.`, {
      context: { option: "signal", call },
      cause: error,
    });
  }
}
