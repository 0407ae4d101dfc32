import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DiscardSink } from "../../../src/sinks/discard.js";
import { MeteringSink, SINK_METER, SINK_METER_LENGTH } from "../../../src/sinks/metering.js";
import { FakeClock } from "../../helpers/fake_clock.js";
import { faultySink, Gate, type SinkFault } from "../../helpers/faulty_sink.js";

function setUp(faults: SinkFault[] = []) {
  const counters = new BigInt64Array(new SharedArrayBuffer(8 * SINK_METER_LENGTH));
  const sink = new MeteringSink(faultySink(new DiscardSink(), faults), counters);
  const read = () =>
    Object.fromEntries(Object.entries(SINK_METER).map(([name, at]) => [name, Number(Atomics.load(counters, at))]));
  return { sink, read };
}

const bytes = (count: number) => new Uint8Array(count);

describe("MeteringSink", () => {
  let clock: FakeClock;
  let restore: () => void;
  beforeEach(() => {
    clock = new FakeClock();
    restore = clock.install();
  });
  afterEach(() => restore());

  it("counts calls and bytes by kind, and is the inner sink otherwise", async () => {
    const { sink, read } = setUp();
    expect([sink.kind, sink.location]).toEqual(["discard", "nowhere"]);
    await sink.open("create");
    const shard = await sink.openShard("a", { maxBytes: 1 });
    await shard.write([bytes(10), bytes(5)]);
    await shard.write([bytes(3)]);
    await shard.seal(bytes(4), true);
    await sink.putObject("zarr.json", bytes(100), true);
    await sink.close();
    expect(read()).toMatchObject({
      pendingBytes: 0,
      bytes: 122,
      writes: 2,
      seals: 1,
      objects: 1,
      failures: 0,
      callNs: 0,
    });
  });

  it("bytes are pending from before the call until it settles, also when it fails", async () => {
    const gate = new Gate();
    const { sink, read } = setUp([
      { method: "write", nth: 1, action: "hold", gate: gate.memory },
      { method: "write", nth: 2, action: "fail" },
      { method: "seal", nth: 1, action: "fail" },
    ]);
    const shard = await sink.openShard("a", { maxBytes: 1 });
    const writing = shard.write([bytes(1000)]);
    expect(read()).toMatchObject({ pendingBytes: 1000, bytes: 0, writes: 0 });
    await gate.arrived();
    await clock.advance(7);
    gate.release();
    await writing;
    expect(read()).toMatchObject({ pendingBytes: 0, bytes: 1000, writes: 1, callNs: 7e6 });
    const failing = shard.write([bytes(50)]);
    expect(read().pendingBytes).toBe(50);
    await expect(failing).rejects.toMatchObject({ code: "SINK_FAILED" });
    await expect(shard.seal(bytes(9), true)).rejects.toMatchObject({ code: "SINK_FAILED" });
    expect(read()).toMatchObject({ pendingBytes: 0, bytes: 1000, writes: 1, seals: 0, failures: 2 });
  });

  it("refuses an array that is too small", () => {
    expect(() => new MeteringSink(new DiscardSink(), new BigInt64Array(SINK_METER_LENGTH - 1))).toThrow(/room/);
  });
});
