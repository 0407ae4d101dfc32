/**
 * Each ordering rule is switched off in turn: some interleaving must then break a property, with debug checks and
 * without.
 */
import { expect, it } from "vitest";
import { ORDERING_RULE_NAMES, type OrderingRule } from "../../src/slots/ordering.js";
import type { Call, Configuration } from "./configuration.js";
import { explore, replay } from "./explorer.js";
import { StreamWorld } from "./stream_world.js";

const append: Call = { call: "append", rows: 1 };
const close: Call = { call: "close" };
const tiny = { epochRows: 1, epochsPerShard: 1, shardsPerRow: 1, depth: 1, lanes: [[append, append, close]] };

/** The stream that meets the rule, and what goes wrong in it. */
const BROKEN: Readonly<Record<Exclude<OrderingRule, "POOL_CONSUMED">, Configuration & { readonly harm: RegExp }>> = {
  STAGING_COPIED: {
    ...tiny,
    depth: 2,
    batchEpochs: 2,
    lanes: [[append, { call: "reserve", rows: 1 }, { call: "flush" }, { call: "commit" }, close]],
    harm: /rows are published|is not marked|holds/,
  },
  STAGING_FREE: { ...tiny, harm: /reads generation 2 of 1/ },
  BATCH_FILLED: { ...tiny, harm: /kick 1 of no rows/ },
  EPOCHS_WHOLE: {
    ...tiny,
    batchEpochs: 3,
    maxBatchAgeMs: 10,
    lanes: [[append, append, append, close]],
    harm: /row [12] holds .*, not/,
  },
  ENCODED: { ...tiny, harm: /watermark encoded is 1, but it is 0/ },
  JOIN_BEFORE_REFILL: {
    ...tiny,
    depth: 2,
    lanes: [[append, append, append, close]],
    harm: /which does not begin|changed before it settled/,
  },
  DELIVER_OLDEST_FIRST: { ...tiny, depth: 2, harm: /is busy|does not begin|is 2, but it is|seal of/ },
  OUTPUT_RELEASED: { ...tiny, harm: /watermark delivered is 1, but it is 0/ },
  JOURNAL_AFTER_DATA: { ...tiny, durability: "shard", harm: /commits 1 epochs, 0 are there|without a header/ },
  DURABLE_AFTER_COMMIT: {
    ...tiny,
    epochsPerShard: 2,
    durability: "batch",
    harm: /watermark durable is 1, but it is 0/,
  },
  PUBLISH_AFTER_DURABLE: { ...tiny, harm: /1 rows are published, 0 are sealed/ },
  SKIP_PUBLISHED: {
    ...tiny,
    durability: "batch",
    lanes: [[append, { call: "skip", rows: 4 }, append, close]],
    harm: /watermark durable is [56], but it is 1/,
  },
  JOURNAL_UNTIL_PUBLISHED: { ...tiny, durability: "shard", harm: /watermark durable is 1, but it is 0/ },
  EXIT_HANDSHAKE: { ...tiny, lanes: [[append, { call: "exit" }]], harm: /the process leaves/ },
  FAILURE_STOPS_INTAKE: { ...tiny, faults: ["backend"], harm: /rows were accepted after a failure/ },
  STOP_JOIN_BEFORE_RELEASE: { ...tiny, harm: /the backend is closed while delivery waits for/ },
};

it("has a stream for every rule but that of a device, which test/gpu/mutation.test.ts has", () => {
  expect(Object.keys(BROKEN).sort()).toEqual(ORDERING_RULE_NAMES.filter((name) => name !== "POOL_CONSUMED").sort());
});

for (const [rule, { harm, ...c }] of Object.entries(BROKEN)) {
  for (const debug of [true, false]) {
    it(`shows the harm without ${rule}, ${debug ? "with" : "without"} debug checks`, async () => {
      const make = (): Promise<StreamWorld> => StreamWorld.make({ ...c, off: rule, debug });
      const { failure } = await explore(make, { statesMax: 5000 });
      expect(failure?.problem).toMatch(harm);
      // The trace alone leads there again.
      expect(await replay(make, failure?.trace ?? [])).toBe(failure?.problem);
    });
  }
}
