import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { ORDERING_COUNTED_RULES } from "../../../src/metrics/counted_rules.js";
import {
  ORDERING_RULE_NAMES,
  Ordering,
  type OrderingRule,
  orderingFromEnvironment,
  poison,
} from "../../../src/slots/ordering.js";

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

it("waits, meters the wait, also when it fails; off it does neither", async () => {
  const meter: OrderingRule[] = [];
  const order = new Ordering({ debug: true, off: ["ENCODED"] }, { add: (rule) => meter.push(rule) });
  expect(await order.wait("BATCH_FILLED", Promise.resolve("done"), "early")).toBe("done");
  await expect(order.wait("OUTPUT_RELEASED", Promise.reject(new Error("late")), undefined)).rejects.toThrow("late");
  expect(meter).toEqual(["BATCH_FILLED", "OUTPUT_RELEASED"]);
  expect(await order.wait("ENCODED", new Promise<string>(() => {}), "early")).toBe("early");
  // A failure nobody waits for does not become an unhandled rejection.
  expect(await order.wait("ENCODED", Promise.reject(new Error("unheard")), "early")).toBe("early");
  await new Promise((resolve) => setImmediate(resolve));
  expect(meter.length).toBe(2);
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
