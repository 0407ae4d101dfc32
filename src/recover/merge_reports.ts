import { memberKey } from "../zarr/chunk_key.js";
import type { RecoverOptions, RecoverProgress, RecoverReport } from "./report.js";

/** A store that was recovered, and where it lies below the place that was asked for. */
export interface ChildReport {
  readonly path: string;
  readonly report: RecoverReport;
}

/** The gravest first: of several stores, what is to be looked at. */
const STATUSES = ["damaged", "recovered", "nothing-to-recover", "clean"] as const;

/** One report on stores that were recovered one after another. */
export function mergeReports(location: string, children: readonly ChildReport[]): RecoverReport {
  const reports = children.map(({ report }) => report);
  const sum = (of: (report: RecoverReport) => number): number => reports.reduce((n, report) => n + of(report), 0);
  const stores = children.flatMap(({ path, report }) =>
    report.stores.map((store) => Object.freeze({ ...store, path: memberKey(path, store.path).replace(/\/$/, "") })),
  );
  const arrays = children.flatMap(({ path, report }) =>
    report.arrays.map((array) => Object.freeze({ ...array, path: memberKey(path, array.path).replace(/\/$/, "") })),
  );
  return Object.freeze({
    location,
    status: STATUSES.find((status) => reports.some((report) => report.status === status)) ?? "clean",
    dryRun: reports.some(({ dryRun }) => dryRun),
    writer: reports.find(({ writer }) => writer !== undefined)?.writer,
    stores: Object.freeze(stores),
    arrays: Object.freeze(arrays),
    uploadsAborted: sum(({ uploadsAborted }) => uploadsAborted),
    objectsRemoved: sum(({ objectsRemoved }) => objectsRemoved),
    notes: Object.freeze(children.flatMap(({ path, report }) => report.notes.map((note) => `${path}: ${note}`))),
  });
}

/** Options for one store after another: what they have done is counted together. */
export function summedProgress(options: RecoverOptions): () => RecoverOptions {
  const before = new Map<RecoverProgress["step"], number>();
  let now = new Map<RecoverProgress["step"], number>();
  return () => {
    for (const [step, count] of now) before.set(step, (before.get(step) ?? 0) + count);
    now = new Map();
    const { onProgress } = options;
    if (onProgress === undefined) return options;
    return {
      ...options,
      onProgress: ({ step, count }) => {
        now.set(step, count);
        onProgress({ step, count: (before.get(step) ?? 0) + count });
      },
    };
  };
}
