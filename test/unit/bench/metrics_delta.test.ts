import { describe, expect, it } from "vitest";
import { metricsBetween } from "../../../src/bench/metrics_delta.js";
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
