import type { WriterMarker } from "../journal/writer_marker.js";
import type { RecoveredArray, RecoverReport } from "./report.js";
import type { Steps } from "./steps.js";

export function frozenReport(
  location: string,
  steps: Steps,
  status: RecoverReport["status"],
  marker?: WriterMarker,
  arrays: readonly RecoveredArray[] = [],
): RecoverReport {
  const { started, endsAt, writer } = marker ?? {};
  const left =
    started === undefined
      ? undefined
      : Object.freeze({ started, endsAt, ...(writer && { host: writer.host, pid: writer.pid }) });
  return Object.freeze({
    location,
    status,
    dryRun: steps.dryRun,
    writer: left,
    stores: Object.freeze(status === "clean" ? [] : [Object.freeze({ path: "", status, writer: left })]),
    arrays: Object.freeze(
      arrays.map((array) => Object.freeze({ ...array, damage: array.damage && Object.freeze(array.damage) })),
    ),
    uploadsAborted: steps.count("uploads"),
    objectsRemoved: steps.count("remove"),
    notes: Object.freeze([...steps.notes]),
  });
}
