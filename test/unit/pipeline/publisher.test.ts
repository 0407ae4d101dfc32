import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import { COUNTERS_BYTES, Counters } from "../../../src/metrics/counters.js";
import { Publisher } from "../../../src/pipeline/publisher.js";
import { Ordering } from "../../../src/slots/ordering.js";
import { fillValue } from "../../../src/zarr/fill_value.js";
import { FakeClock } from "../../helpers/fake_clock.js";
import { MapSink } from "../../helpers/map_sink.js";

let clock: FakeClock;
let restore: () => void;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  clock = new FakeClock();
  restore = clock.install();
});
afterEach(() => {
  restore();
  vi.useRealTimers();
});

/** Time moves on for timers and for the clock. */
async function pass(ms: number): Promise<void> {
  await clock.advance(ms);
  await vi.advanceTimersByTimeAsync(ms);
}

class SlowPuts extends MapSink {
  readonly shapes: number[] = [];
  running = 0;
  runningMost = 0;
  failNext = false;
  override async putObject(key: string, bytes: Uint8Array): Promise<void> {
    this.runningMost = Math.max(this.runningMost, ++this.running);
    await new Promise((resolve) => setImmediate(resolve));
    this.running--;
    if (this.failNext) {
      this.failNext = false;
      throw new Error("put failed");
    }
    this.shapes.push(JSON.parse(new TextDecoder().decode(bytes)).shape[0]);
    await super.putObject(key, bytes);
  }
}

function setUp(intervalMs: number) {
  const sink = new SlowPuts();
  const counters = new Counters(new SharedArrayBuffer(COUNTERS_BYTES));
  const failures: unknown[] = [];
  const publisher = new Publisher({
    geometry: describeGeometry("uint8", [{ name: "t", size: null, chunk: 1 }]),
    metadata: { codecs: [{ name: "bytes" }] as never, fill: fillValue("uint8", 0), attributes: {} },
    sink,
    counters,
    order: new Ordering({ debug: true, off: [] }),
    durable: true,
    intervalMs,
    onPublished: () => {},
    onFailed: (error) => failures.push(error),
  });
  return { sink, counters, publisher, failures };
}

it("writes at most once an interval, and then the newest", async () => {
  const { sink, publisher, counters } = setUp(1000);
  await publisher.publish();
  publisher.want(4);
  publisher.want(8);
  await pass(999);
  expect(sink.shapes).toEqual([0]);
  await pass(1);
  await publisher.publish();
  expect(sink.shapes).toEqual([0, 8]);
  publisher.want(6);
  await pass(5000);
  publisher.want(12);
  await publisher.publish();
  expect(sink.shapes).toEqual([0, 8, 12]);
  expect(counters.get("rowsPublished")).toBe(12);
});

it("writes one at a time, never fewer rows than before, and nothing twice", async () => {
  const { sink, publisher } = setUp(0);
  const writes = [publisher.publish()];
  for (const rows of [2, 4, 4, 3, 6]) {
    publisher.want(rows);
    writes.push(publisher.publish());
  }
  await Promise.all(writes);
  expect(sink.runningMost).toBe(1);
  expect(sink.shapes).toEqual([...new Set(sink.shapes)].sort((a, b) => a - b));
  expect(sink.shapes.at(-1)).toBe(6);
});

it("reports a refresh that failed, and can publish later", async () => {
  const { sink, publisher, failures } = setUp(0);
  await publisher.publish();
  sink.failNext = true;
  publisher.want(5);
  await publisher.stop();
  expect(failures).toEqual([new Error("put failed")]);
  await publisher.publish();
  expect(sink.shapes).toEqual([0, 5]);
});

it("starts nothing after stop", async () => {
  const { sink, publisher } = setUp(1000);
  await publisher.publish();
  publisher.want(5);
  await publisher.stop();
  await pass(10_000);
  expect(sink.shapes).toEqual([0]);
  expect(vi.getTimerCount()).toBe(0);
});
