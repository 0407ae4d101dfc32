import { afterEach, beforeEach, expect, it } from "vitest";
import { useClock } from "../../../src/base/clock.js";
import { culpritOf, describeStall, StallLog, type StallSample, StallWatch } from "../../../src/cli/stall.js";

type Wait = StallSample["waiting"][number];

let nowMs = 0;
let restoreClock: () => void;
beforeEach(() => {
  nowMs = 1000;
  restoreClock = useClock({ nowNs: () => nowMs * 1e6, wallMs: () => 0, sleep: () => Promise.resolve() });
});
afterEach(() => restoreClock());

const waits = (...names: readonly string[]): Wait[] =>
  names.map((name) => {
    const [owner, rule] = name.split(" ");
    return { owner, rule, forNs: 1 } as Wait;
  });

const sample = (rows: number, waiting: readonly Wait[]): StallSample => ({
  bytesIn: 10 * rows,
  bytesStored: rows,
  watermarks: { accepted: rows, encoded: rows, delivered: rows, durable: 0, published: 0 },
  waiting,
});

it.each<[string, string, string[]]>([
  [
    "the sink",
    "OUTPUT_RELEASED",
    ["producer STAGING_FREE", "engine JOIN_BEFORE_REFILL", "delivery DELIVER_OLDEST_FIRST", "delivery OUTPUT_RELEASED"],
  ],
  [
    "the sink",
    "PUBLISH_AFTER_DURABLE",
    ["producer PUBLISH_AFTER_DURABLE", "engine BATCH_FILLED", "delivery PUBLISH_AFTER_DURABLE"],
  ],
  [
    "the sink",
    "STOP_JOIN_BEFORE_RELEASE",
    ["producer STOP_JOIN_BEFORE_RELEASE", "engine STOP_JOIN_BEFORE_RELEASE", "delivery STOP_JOIN_BEFORE_RELEASE"],
  ],
  ["the sink", "DURABLE_AFTER_COMMIT", ["engine BATCH_FILLED", "delivery DURABLE_AFTER_COMMIT"]],
  [
    "the encoder",
    "ENCODED",
    ["producer STAGING_FREE", "engine ENCODED", "engine JOIN_BEFORE_REFILL", "delivery ENCODED"],
  ],
  ["the encoder", "POOL_CONSUMED", ["engine POOL_CONSUMED", "delivery DELIVER_OLDEST_FIRST"]],
  ["input", "BATCH_FILLED", ["engine BATCH_FILLED", "delivery ENCODED"]],
  ["the encoder", "STOP_JOIN_BEFORE_RELEASE", ["producer STOP_JOIN_BEFORE_RELEASE", "engine STOP_JOIN_BEFORE_RELEASE"]],
  ["threads to end", "STOP_JOIN_BEFORE_RELEASE", ["producer STOP_JOIN_BEFORE_RELEASE"]],
])("blames %s for %s", (waitingFor, rule, names) => {
  expect(culpritOf(waits(...names))).toMatchObject({ waitingFor, rule });
  expect(culpritOf(waits(...names.reverse()))).toMatchObject({ waitingFor, rule });
});

it("blames nobody outside where no owner waits", () => {
  expect(culpritOf([])).toEqual({ waitingFor: "a busy thread", owner: null, rule: null });
  expect(describeStall({ seconds: 5.9, ...culpritOf([]) })).toBe("stands still for 5 s: waiting for a busy thread");
});

it("sees a stall when nothing at all has moved for three seconds", () => {
  const watch = new StallWatch();
  const still = waits("delivery OUTPUT_RELEASED");
  expect(watch.look(sample(1, still))).toBe(null);
  nowMs += 2999;
  expect(watch.look(sample(1, still))).toBe(null);
  nowMs += 1;
  expect(watch.look(sample(1, still))).toMatchObject({ seconds: 3, owner: "delivery" });
  // Bytes that go to the sink are movement, also while no watermark rises.
  expect(watch.look({ ...sample(1, still), bytesStored: 2 })).toBe(null);
  nowMs += 10_000;
  expect(watch.look({ ...sample(1, still), bytesStored: 2 })).toMatchObject({ seconds: 10 });
});

it("logs the beginning and the end of a stall, a change of its reason, and no wait for input", () => {
  const lines: string[] = [];
  const log = new StallLog((line) => lines.push(line));
  const look = (rows: number, ...names: string[]): void => {
    nowMs += 2000;
    log.look(sample(rows, waits(...names)));
  };
  for (let i = 0; i < 4; i++) look(1, "engine BATCH_FILLED", "delivery ENCODED");
  expect(lines).toEqual([]);
  for (let i = 0; i < 2; i++) look(1, "engine ENCODED", "delivery ENCODED");
  for (let i = 0; i < 2; i++) look(1, "engine JOIN_BEFORE_REFILL", "delivery OUTPUT_RELEASED");
  look(2, "engine BATCH_FILLED");
  look(3, "engine BATCH_FILLED");
  expect(lines).toEqual([
    "the stream stands still for 8 s: waiting for the encoder (ENCODED)",
    "the stream stands still for 12 s: waiting for the sink (OUTPUT_RELEASED)",
    "the stream goes on, after 14 s of waiting for the sink",
  ]);
});
