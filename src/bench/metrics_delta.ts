import type { MetricsSnapshot, StageMetrics, WaitMetrics } from "../index.js";

export interface MetricsDelta {
  readonly bytesStored: number;
  readonly stages: readonly StageMetrics[];
  readonly waits: readonly WaitMetrics[];
  readonly chunksByRoute: MetricsSnapshot["chunksByRoute"];
}

/** What was counted between two snapshots of one writer. */
export function metricsBetween(before: MetricsSnapshot, after: MetricsSnapshot): MetricsDelta {
  const stageBefore = new Map(before.stages.map((stage) => [stage.name, stage]));
  const waitBefore = new Map(before.waits.map((wait) => [wait.rule, wait]));
  return {
    bytesStored: after.bytesStored - before.bytesStored,
    stages: after.stages.map((stage) => {
      const from = stageBefore.get(stage.name);
      return {
        ...stage,
        busyNs: stage.busyNs - (from?.busyNs ?? 0),
        count: stage.count - (from?.count ?? 0),
        inBytes: stage.inBytes - (from?.inBytes ?? 0),
        outBytes: stage.outBytes - (from?.outBytes ?? 0),
      };
    }),
    waits: after.waits
      .map((wait) => {
        const from = waitBefore.get(wait.rule);
        return { rule: wait.rule, ns: wait.ns - (from?.ns ?? 0), count: wait.count - (from?.count ?? 0) };
      })
      .filter((wait) => wait.count > 0),
    chunksByRoute: {
      cpu: after.chunksByRoute.cpu - before.chunksByRoute.cpu,
      gpu: after.chunksByRoute.gpu - before.chunksByRoute.gpu,
    },
  };
}
