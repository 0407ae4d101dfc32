import type { MetricsSnapshot, StageMetrics, WaitMetrics } from "../index.js";

export interface MetricsDelta {
  readonly bytesStored: number;
  readonly stages: readonly StageMetrics[];
  readonly waits: readonly WaitMetrics[];
  readonly chunksByRoute: MetricsSnapshot["chunksByRoute"];
}

type AppendTimes = MetricsSnapshot["appendNs"];

/**
 * What several writers counted side by side. Stages and waits keep their order, that of the first writer that has them.
 */
export function sumDeltas(deltas: readonly MetricsDelta[]): MetricsDelta {
  const stages = new Map<string, StageMetrics>();
  const waits = new Map<string, WaitMetrics>();
  const total = { bytesStored: 0, chunksByRoute: { cpu: 0, gpu: 0 } };
  for (const delta of deltas) {
    total.bytesStored += delta.bytesStored;
    total.chunksByRoute.cpu += delta.chunksByRoute.cpu;
    total.chunksByRoute.gpu += delta.chunksByRoute.gpu;
    for (const stage of delta.stages) {
      const sum = stages.get(stage.name);
      stages.set(stage.name, {
        ...stage,
        busyNs: stage.busyNs + (sum?.busyNs ?? 0),
        count: stage.count + (sum?.count ?? 0),
        inBytes: stage.inBytes + (sum?.inBytes ?? 0),
        outBytes: stage.outBytes + (sum?.outBytes ?? 0),
      });
    }
    for (const wait of delta.waits) {
      const sum = waits.get(wait.rule);
      waits.set(wait.rule, { ...wait, ns: wait.ns + (sum?.ns ?? 0), count: wait.count + (sum?.count ?? 0) });
    }
  }
  return { ...total, stages: [...stages.values()], waits: [...waits.values()] };
}

/** Append times of several writers: quantiles cannot be added, so each is that of the writer where it is worst. */
export function worstAppendNs(times: readonly AppendTimes[]): AppendTimes {
  const sum = (of: (t: AppendTimes) => number): number => times.reduce((total, t) => total + of(t), 0);
  const worst = (of: (t: AppendTimes) => number): number => Math.max(...times.map(of));
  return {
    count: sum((t) => t.count),
    sampled: sum((t) => t.sampled),
    p50: worst((t) => t.p50),
    p99: worst((t) => t.p99),
    p999: worst((t) => t.p999),
    max: worst((t) => t.max),
  };
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
