import { MillraceError } from "../base/errors.js";
import type { WriterMarker } from "../journal/writer_marker.js";
import { isAtWork } from "../journal/writer_process.js";

/**
 * For what would take a store away from its writer.
 * @param otherwise what to do when the process is not what the marker takes it for: its number was given anew, and
 * the system does not tell
 */
export async function refuseAtWork(root: string, marker: WriterMarker | undefined, otherwise: string): Promise<void> {
  if (marker?.writer === undefined || !(await isAtWork(marker.writer))) return;
  const { host, pid } = marker.writer;
  throw new MillraceError("STORE_IN_USE", `the writer of ${root}, process ${pid} on ${host}, is still running.`, {
    context: { path: root, host, pid },
    hint: `Close or abort it first. ${otherwise}`,
  });
}
