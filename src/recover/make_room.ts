import { isMillraceError, MillraceError } from "../base/errors.js";
import type { RecoveryFiles } from "./recovery_files.js";
import type { RecoveredArray } from "./report.js";

/**
 * What recovery is to write on a disk that may be full: a few kilobytes, for which the caller has made room already.
 * @throws MillraceError DISK_FULL that says what is there to be kept and how to go on; anything else as it came
 */
export async function withoutRoom<T>(
  files: RecoveryFiles,
  { rowsBefore, rowsAfter }: RecoveredArray,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isMillraceError(error, "DISK_FULL")) throw error;
    const what = `${rowsAfter} rows can be kept, of which ${rowsBefore} are published, and nothing of them is lost`;
    throw new MillraceError("DISK_FULL", `there is no room left to recover ${files.root}: ${what}.`, {
      context: { ...error.context, path: files.root, rowsBefore, rowsAfter },
      hint:
        "What is not kept is removed already. Free some space on this file system, then recover again; or copy " +
        "the folder, .millrace included, to a larger one, and recover the copy.",
      cause: error,
    });
  }
}
