import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { now } from "../../../src/base/clock.js";
import { DiscardSink } from "../../../src/sinks/discard.js";
import { ThrottledSink } from "../../../src/sinks/throttled.js";
import { FakeClock } from "../../helpers/fake_clock.js";
import { faultySink } from "../../helpers/faulty_sink.js";

let clock: FakeClock;
let restore: () => void;
beforeEach(() => {
  clock = new FakeClock();
  restore = clock.install();
});
afterEach(() => restore());

/** Runs calls to their end; returns when each was over, ms of the fake clock. */
async function timed(calls: (() => Promise<unknown>)[]): Promise<number[]> {
  const ends = calls.map(async (call) => {
    await call();
    return now();
  });
  await clock.advance(100_000);
  return Promise.all(ends);
}

const bytes = (count: number) => new Uint8Array(count);

describe("ThrottledSink", () => {
  it("lets all shards together write at the rate, in the order of their calls", async () => {
    const inner = new DiscardSink();
    const sink = new ThrottledSink(inner, { bytesPerSecond: 1000, latencyMs: 0 });
    const [a, b] = [await sink.openShard("a", { maxBytes: 1 }), await sink.openShard("b", { maxBytes: 1 })];
    const ends = await timed([
      () => a.write([bytes(100), bytes(400)]),
      () => b.write([bytes(250)]),
      () => sink.putObject("zarr.json", bytes(50), false),
      () => b.seal(bytes(10), false),
    ]);
    expect(ends.map((end) => Math.round(end))).toEqual([500, 750, 800, 810]);
    expect(inner.bytes).toBe(810);
  });

  it("adds latency to every call, side by side", async () => {
    const sink = new ThrottledSink(new DiscardSink(), { bytesPerSecond: 1000, latencyMs: 30 });
    const ends = await timed([
      () => sink.open("create"),
      () => sink.openShard("a", { maxBytes: 1 }),
      () => sink.putObject("x", bytes(100), false),
      () => sink.putObject("y", bytes(100), false),
    ]);
    expect(ends.map((end) => Math.round(end))).toEqual([30, 30, 130, 230]);
  });

  it("does not save up idle time", async () => {
    const sink = new ThrottledSink(new DiscardSink(), { bytesPerSecond: 1000, latencyMs: 0 });
    await clock.advance(60_000);
    const start = now();
    const [end] = await timed([() => sink.putObject("x", bytes(500), false)]);
    expect(end - start).toBeCloseTo(500, 3);
  });

  it("many small calls reach the rate exactly: rounding does not add up", async () => {
    const sink = new ThrottledSink(new DiscardSink(), { bytesPerSecond: 3000, latencyMs: 0 });
    const shard = await sink.openShard("a", { maxBytes: 1 });
    const [end] = await timed([
      async () => {
        for (let i = 0; i < 1000; i++) await shard.write([bytes(7)]);
      },
    ]);
    expect(end).toBeCloseTo((7000 / 3000) * 1000, 3);
  });

  it("no limit, no latency: no waiting at all", async () => {
    const sink = new ThrottledSink(new DiscardSink(), { bytesPerSecond: Number.POSITIVE_INFINITY, latencyMs: 0 });
    await sink.putObject("x", bytes(1000), false);
    expect(clock.sleeperCount).toBe(0);
  });

  it("passes errors, abandon and close on", async () => {
    const inner = faultySink(new DiscardSink(), [
      { method: "write", nth: 1, action: "fail", code: "DISK_FULL" },
      { method: "close", nth: 1, action: "fail" },
      { method: "abandon", nth: 1, action: "fail" },
    ]);
    const sink = new ThrottledSink(inner, { bytesPerSecond: Number.POSITIVE_INFINITY, latencyMs: 0 });
    const shard = await sink.openShard("a", { maxBytes: 1 });
    await expect(shard.write([bytes(1)])).rejects.toMatchObject({ code: "DISK_FULL" });
    await expect(shard.abandon(true)).rejects.toMatchObject({ code: "SINK_FAILED" });
    await expect(sink.close()).rejects.toMatchObject({ code: "SINK_FAILED" });
  });
});
