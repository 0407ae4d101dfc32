import { expect, it } from "vitest";
import { COUNTERS_BYTES, type CounterName, Counters } from "../../../src/metrics/counters.js";
import { AppendLatency, SAMPLE_EVERY } from "../../../src/metrics/latency.js";
import { takeSnapshot } from "../../../src/metrics/snapshot.js";
import { readWatermarks } from "../../../src/writer/watermarks.js";
import { FakeClock } from "../../helpers/fake_clock.js";

const memory = () => new SharedArrayBuffer(COUNTERS_BYTES);

it("adds beyond 32 bits, raises and never lowers, and shows on every thread's view", () => {
  const words = memory();
  const [a, b] = [new Counters(words), new Counters(words)];
  a.add("bytesStored", 2 ** 40);
  a.add("bytesStored", 5.4);
  b.raise("rowsDurable", 7);
  b.raise("rowsDurable", 3);
  expect([b.get("bytesStored"), a.get("rowsDurable"), a.get("failed")]).toEqual([2 ** 40 + 5, 7, 0]);
  expect(a.waitEngineStopped(1)).toBe(false);
  b.raise("engineStopped", 1);
  expect(a.waitEngineStopped(60_000)).toBe(true);
});

it("keeps pending bytes and their peak", () => {
  const c = new Counters(memory());
  c.addPending(100);
  c.addPending(50);
  c.retirePending(100);
  c.addPending(20);
  expect([c.get("sinkPendingBytes"), c.get("sinkPendingBytesPeak")]).toEqual([70, 150]);
});

it("counts waits by rule, and lists those that happened", () => {
  const c = new Counters(memory());
  c.addWait("STAGING_FREE", 100.6);
  c.addWait("STAGING_FREE", 3);
  c.addWait("SINK_PENDING_BYTES", 0);
  expect(c.wait("STAGING_FREE")).toEqual({ ns: 104, count: 2 });
  const snapshot = takeSnapshot(c, {
    rowsAccepted: 3,
    bytesIn: 4,
    appendNs: new AppendLatency().snapshot(),
    copyNs: 1,
    copyCount: 2,
    copyBytes: 4,
    stagingSlots: 2,
    stagingSlotsBusy: 1,
    stagingSlotsBusyPeak: 2,
    outputSlots: 2,
    outputSlotsBusy: 0,
    ended: false,
  });
  expect(snapshot.waits).toEqual([
    { rule: "STAGING_FREE", ns: 104, count: 2 },
    { rule: "SINK_PENDING_BYTES", ns: 0, count: 1 },
  ]);
  expect(snapshot.waiting).toEqual([]);
  expect(snapshot.stages.map((s) => s.name)).toEqual([
    "copy",
    "encode",
    "write",
    "checksum",
    "journal",
    "sync",
    "seal",
    "publish",
  ]);
  expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
});

it("times one append in thirteen, and every one that waited", async () => {
  const clock = new FakeClock();
  const restore = clock.install();
  try {
    await clock.advance(1);
    const latency = new AppendLatency();
    for (let i = 0; i < 3 * SAMPLE_EVERY; i++) {
      const start = latency.begin();
      expect(start !== 0).toBe(i % SAMPLE_EVERY === 0);
      if (start === 0) continue;
      await clock.advance(i === 0 ? 1000 : 0.001);
      latency.end(start);
    }
    latency.waited(5e9);
    const { count, sampled, max, p50, p99 } = latency.snapshot();
    expect([count, sampled, max]).toEqual([39, 3, 5e9]);
    expect(p50).toBeCloseTo(1000, -1);
    expect(p99).toBeGreaterThan(9.9e8);
  } finally {
    restore();
  }
});

it("reads watermarks in order also while they rise between two reads", () => {
  const stages: CounterName[] = ["rowsEncoded", "rowsDelivered", "rowsDurable", "rowsPublished"];
  /** Other threads move everything on by a row after each read. */
  class Moving extends Counters {
    override get(name: CounterName): number {
      const value = super.get(name);
      for (const stage of stages) this.add(stage, 1);
      return value;
    }
  }
  const { encoded, delivered, durable, published } = readWatermarks(new Moving(memory()), 100);
  expect(delivered).toBeLessThanOrEqual(encoded);
  expect(durable).toBeLessThanOrEqual(delivered);
  expect(published).toBeLessThanOrEqual(durable);
});
