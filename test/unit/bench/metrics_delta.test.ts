import { describe, expect, it } from "vitest";
import { metricsBetween, sumDeltas, worstAppendNs } from "../../../src/bench/metrics_delta.js";
import { COUNTERS_BYTES, Counters } from "../../../src/metrics/counters.js";
import { type ProducerFigures, takeSnapshot } from "../../../src/metrics/snapshot.js";

const producer = (copyNs: number): ProducerFigures => ({
  rowsAccepted: 0,
  bytesIn: 0,
  appendNs: { count: 0, sampled: 0, p50: 0, p99: 0, p999: 0, max: 0 },
  copyNs,
  copyCount: copyNs / 10,
  copyBytes: copyNs * 2,
  stagingSlots: 3,
  stagingSlotsBusy: 0,
  stagingSlotsBusyPeak: 0,
  outputSlots: 3,
  outputSlotsBusy: 0,
  ended: false,
});

describe("metricsBetween", () => {
  it("subtracts what was there before the window, stage by stage and wait by wait", () => {
    const counters = new Counters(new ArrayBuffer(COUNTERS_BYTES));
    counters.add("encodeNs", 100);
    counters.add("encodeInBytes", 1000);
    counters.add("bytesStored", 7);
    counters.add("chunksCpu", 3);
    counters.addWait("ENCODED", 50);
    const before = takeSnapshot(counters, producer(100));
    counters.add("encodeNs", 11);
    counters.add("encodeInBytes", 500);
    counters.add("bytesStored", 5);
    counters.add("chunksCpu", 4);
    counters.addWait("STAGING_FREE", 9);
    const delta = metricsBetween(before, takeSnapshot(counters, producer(130)));

    const stage = (name: string) => delta.stages.find((s) => s.name === name);
    expect(stage("encode")).toMatchObject({ busyNs: 11, inBytes: 500, owner: "encoder" });
    expect(stage("copy")).toMatchObject({ busyNs: 30, count: 3, inBytes: 60 });
    expect(delta.bytesStored).toBe(5);
    expect(delta.chunksByRoute).toEqual({ cpu: 4, gpu: 0 });
    // A rule that nothing waited under inside the window is not listed; one first waited under inside it is.
    expect(delta.waits).toEqual([{ rule: "STAGING_FREE", ns: 9, count: 1 }]);
  });
});

describe("sumDeltas", () => {
  const stage = (name: "encode" | "write", n: number) =>
    ({ name, owner: "encoder", busyNs: n, count: n + 1, inBytes: n + 2, outBytes: n + 3 }) as const;

  it("adds stages and waits by their names, also those that only one writer has", () => {
    const sum = sumDeltas([
      {
        bytesStored: 1,
        stages: [stage("encode", 10)],
        waits: [{ rule: "ENCODED", ns: 5, count: 1 }],
        chunksByRoute: { cpu: 1, gpu: 2 },
      },
      {
        bytesStored: 2,
        stages: [stage("encode", 100), stage("write", 7)],
        waits: [
          { rule: "STAGING_FREE", ns: 3, count: 2 },
          { rule: "ENCODED", ns: 50, count: 10 },
        ],
        chunksByRoute: { cpu: 10, gpu: 20 },
      },
    ]);
    expect(sum).toEqual({
      bytesStored: 3,
      stages: [
        { name: "encode", owner: "encoder", busyNs: 110, count: 112, inBytes: 114, outBytes: 116 },
        stage("write", 7),
      ],
      waits: [
        { rule: "ENCODED", ns: 55, count: 11 },
        { rule: "STAGING_FREE", ns: 3, count: 2 },
      ],
      chunksByRoute: { cpu: 11, gpu: 22 },
    });
  });

  it("takes each append quantile where it is worst", () => {
    const a = { count: 10, sampled: 1, p50: 5, p99: 6, p999: 7, max: 8 };
    const b = { count: 20, sampled: 2, p50: 4, p99: 60, p999: 70, max: 80 };
    expect(worstAppendNs([a, b])).toEqual({ count: 30, sampled: 3, p50: 5, p99: 60, p999: 70, max: 80 });
  });
});
