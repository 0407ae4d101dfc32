import { isMillraceError, MillraceError } from "../base/errors.js";
import type { ResumePoint } from "../resume/resume_point.js";
import type { Intake } from "../staging/intake.js";

/**
 * Brings the rows behind the last whole epoch back into staging: chunks are written whole, so the last one of each
 * column is encoded again with what is appended now. Never rejects: returns what went wrong, the stream's failure.
 *
 * @param hasFailed asked after the store was read; nothing is put into a stream that has failed meanwhile
 */
export async function restoreEpoch(
  intake: Intake,
  { rows, array }: ResumePoint,
  rowBytes: number,
  signal: AbortSignal | undefined,
  hasFailed: () => boolean,
): Promise<MillraceError | undefined> {
  const bytes = intake.bytesToRestore;
  if (bytes === 0) return undefined;
  try {
    const into = intake.reserveRestored();
    const start = array.metadata.shape.map((_, d) => (d === 0 ? rows - bytes / rowBytes : 0));
    const { chunksRead } = await array.readRegion(start, [rows, ...array.metadata.shape.slice(1)], { into, signal });
    if (!hasFailed()) intake.restore(chunksRead === 0);
    return undefined;
  } catch (error) {
    if (isMillraceError(error)) return error;
    return new MillraceError("STORE_READ_FAILED", `the last rows of ${array.location} could not be read.`, {
      cause: error,
    });
  }
}
