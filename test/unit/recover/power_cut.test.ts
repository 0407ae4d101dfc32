import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/bench/seeded_random.js";
import { USUAL } from "../../helpers/power_run.js";
import {
  nothingTried,
  POWER_SCENES,
  randomCase,
  recordCase,
  type TryOptions,
  tryStream,
  tryUnsynced,
} from "../../helpers/power_scenes.js";

/**
 * The power goes at any moment of a stream, or of a recovery, and what was not synced by then is there, or not, or in
 * part: power_medium.ts has the rules. A few of the possible images, the same in every run;
 * `scripts/power_cuts.sh MINUTES` tries many. docs/reliability.md has the counts.
 */
const FEW: TryOptions = { ...USUAL, madeMax: 400, images: 25, recoveries: 2, imagesPerRecovery: 6 };

describe.each(["shard", "batch"] as const)(
  "a power cut at any moment, durability %s, of a stream with",
  (durability) => {
    it.each(POWER_SCENES)("%s leaves what was promised", async (_, scene) => {
      const stream = await recordCase({ ...scene, durability });
      const tried = nothingTried();
      await tryStream(stream, FEW, tried);
      expect(tried.possible).toBeGreaterThan(100);
      expect(tried.checked).toBe(FEW.images);
      expect(tried.ofRecoveries).toBeGreaterThan(0);
      expect(stream.promised.at(-1)!.published).toBeGreaterThan(0);
    });
  },
);

it.each(POWER_SCENES)("a power cut at durability none is told, of a stream with %s", async (_, scene) => {
  const tried = nothingTried();
  const outcomes = await tryUnsynced(await recordCase({ ...scene, durability: "none" }), FEW, tried);
  expect(tried.checked).toBe(FEW.images);
  expect(outcomes.some(({ torn, refused }) => torn > 0 || refused)).toBe(true);
});

it("a power cut of any stream leaves what was promised", async () => {
  const tried = nothingTried();
  for (let seed = 1; seed <= 12; seed++) {
    await tryStream(await recordCase(randomCase(seededRandom(seed))), { ...FEW, images: 12, seed }, tried);
  }
  expect(tried.checked).toBeGreaterThan(100);
});
