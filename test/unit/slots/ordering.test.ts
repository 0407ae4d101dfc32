import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { deferred } from "../../../src/base/deferred.js";
import { type CountedRule, ORDERING_COUNTED_RULES, WAIT_OWNERS } from "../../../src/metrics/counted_rules.js";
import { COUNTERS_BYTES, Counters } from "../../../src/metrics/counters.js";
import { OwnerWaits } from "../../../src/metrics/owner_waits.js";
import {
  ORDERING_RULE_NAMES,
  Ordering,
  type OrderingRule,
  orderingFromEnvironment,
  poison,
} from "../../../src/slots/ordering.js";
import { FakeClock } from "../../helpers/fake_clock.js";

afterEach(() => {
  delete process.env.MILLRACE_RULES_OFF;
});

it("names each rule in metrics and in docs/ordering.md", () => {
  expect([...ORDERING_COUNTED_RULES]).toEqual([...ORDERING_RULE_NAMES, "SINK_PENDING_BYTES"]);
  const page = readFileSync(new URL("../../../docs/ordering.md", import.meta.url), "utf8");
  for (const name of ORDERING_RULE_NAMES) expect(page).toContain(name);
});

it("reads the environment, and refuses a rule that is none", () => {
  process.env.MILLRACE_RULES_OFF = "BATCH_FILLED,ENCODED";
  expect(orderingFromEnvironment()).toEqual({ debug: true, off: ["BATCH_FILLED", "ENCODED"] });
  process.env.MILLRACE_RULES_OFF = "BATCH_FULL";
  expect(() => orderingFromEnvironment()).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
});

/** What the owner waits for now, and how often each rule was counted. */
function metered(off: readonly OrderingRule[] = []) {
  const counters = new Counters(new SharedArrayBuffer(COUNTERS_BYTES));
  const order = new Ordering({ debug: true, off }, new OwnerWaits(counters, "delivery"));
  return {
    order,
    counters,
    now: () => ORDERING_COUNTED_RULES.filter((rule) => counters.waitingSince("delivery", rule) > 0),
    counts: (...rules: CountedRule[]) => rules.map((rule) => counters.wait(rule).count),
  };
}

it("waits, shows the wait while it lasts and counts it, also when it fails; off it does neither", async () => {
  const { order, now, counts } = metered(["ENCODED"]);
  const done = deferred<string>();
  const waiting = order.waitFor("BATCH_FILLED", done.promise, "early");
  expect(now()).toEqual(["BATCH_FILLED"]);
  done.resolve("done");
  expect(await waiting).toBe("done");
  await expect(order.waitFor("OUTPUT_RELEASED", Promise.reject(new Error("late")), undefined)).rejects.toThrow("late");
  expect(now()).toEqual([]);
  expect(counts("BATCH_FILLED", "OUTPUT_RELEASED")).toEqual([1, 1]);
  expect(await order.waitFor("ENCODED", new Promise<string>(() => {}), "early")).toBe("early");
  // A failure nobody waits for does not become an unhandled rejection.
  expect(await order.waitFor("ENCODED", Promise.reject(new Error("unheard")), "early")).toBe("early");
  await new Promise((resolve) => setImmediate(resolve));
  expect(now()).toEqual([]);
  expect(counts("ENCODED")).toEqual([0]);
});

it("shows what it does not count, with the rule on or off", async () => {
  const { order, now, counts } = metered(["ENCODED"]);
  const done = deferred();
  const waiting = order.observed("ENCODED", done.promise);
  expect(now()).toEqual(["ENCODED"]);
  done.reject(new Error("over"));
  await expect(waiting).rejects.toThrow("over");
  expect([now(), counts("ENCODED")]).toEqual([[], [0]]);
});

it("counts a wait of several steps once, and shows the oldest of those under one rule", async () => {
  const clock = new FakeClock();
  const restore = clock.install();
  try {
    const { order, counters, now, counts } = metered();
    const since = () => counters.waitingSince("delivery", "SINK_PENDING_BYTES") / 1e6;
    await clock.advance(5);
    const begun = clock.nowNs() / 1e6;
    const [endFirst] = [order.startWait("SINK_PENDING_BYTES"), await clock.advance(10)];
    const [endSecond] = [order.startWait("SINK_PENDING_BYTES"), await clock.advance(10)];
    expect(since()).toBeCloseTo(begun);
    endFirst();
    expect(since()).toBeCloseTo(begun + 10);
    endSecond();
    expect([now(), counts("SINK_PENDING_BYTES")]).toEqual([[], [2]]);
    expect(counters.wait("SINK_PENDING_BYTES").ns).toBeCloseTo(30e6);
  } finally {
    restore();
  }
});

it("keeps the waits of the owners of one stream apart", () => {
  const counters = new Counters(new SharedArrayBuffer(COUNTERS_BYTES));
  const owners = (["producer", "engine", "delivery"] as const).map((owner) => new OwnerWaits(counters, owner));
  const waits = owners.map((owner) => owner.begin("ENCODED"));
  owners[1].end(waits[1], false);
  expect(WAIT_OWNERS.filter((owner) => counters.waitingSince(owner, "ENCODED") > 0)).toEqual(["producer", "delivery"]);
  expect(counters.wait("ENCODED").count).toBe(0);
});

it("checks in debug builds, unless the rule is off", () => {
  const check = (debug: boolean, off: readonly OrderingRule[]) => () =>
    new Ordering({ debug, off }).check("POOL_CONSUMED", false, "it was not", { slot: 3 });
  expect(check(true, [])).toThrow(
    expect.objectContaining({ code: "ORDERING_VIOLATION", context: { rule: "POOL_CONSUMED", slot: 3 } }),
  );
  expect(check(false, [])).not.toThrow();
  expect(check(true, ["POOL_CONSUMED"])).not.toThrow();
});

it("poisons", () => {
  const bytes = new Uint8Array(5);
  poison(bytes.subarray(1, 4));
  expect([...bytes]).toEqual([0, 0xdd, 0xdd, 0xdd, 0]);
});
