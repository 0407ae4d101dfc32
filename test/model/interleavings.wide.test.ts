/**
 * Longer streams than interleavings.test.ts has, and one that takes no word for it that states with the same key are
 * alike.
 */
import { expect, it } from "vitest";
import type { Configuration } from "./configuration.js";
import { WIDE, withoutLongest } from "./configurations.js";
import { exploreAll } from "./explore_all.js";
import { explore } from "./explorer.js";
import { StreamWorld } from "./stream_world.js";

const TIMEOUT_MS = 1_800_000;

exploreAll(withoutLongest(WIDE), 1000, TIMEOUT_MS);

it.each([
  { lanes: [[{ call: "append", rows: 1 }, { call: "close" }]] },
  { lanes: [[{ call: "close" }], [{ call: "abort" }]] },
] as const)(
  "counts the same interleavings when histories are told apart: %j",
  async ({ lanes }) => {
    const c: Configuration = { epochRows: 1, epochsPerShard: 1, shardsPerRow: 1, depth: 1, lanes };
    const merged = await explore(() => StreamWorld.make(c));
    const exact = await explore(() => StreamWorld.make({ ...c, exactKeys: true }));
    expect([merged.failure, exact.failure]).toEqual([undefined, undefined]);
    expect([merged.complete, exact.complete]).toEqual([true, true]);
    // A state too few or too many on one side would lead on by other ways.
    expect(exact.interleavings).toBe(merged.interleavings);
    expect(exact.states).toBeGreaterThan(merged.states);
  },
  TIMEOUT_MS,
);
