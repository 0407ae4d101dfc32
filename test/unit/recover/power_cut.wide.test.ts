import { expect, it } from "vitest";
import { now, wallMs } from "../../../src/base/clock.js";
import { seededRandom } from "../../../src/bench/seeded_random.js";
import { syncedPaths, USUAL } from "../../helpers/power_run.js";
import {
  nothingTried,
  POWER_SCENES,
  randomCase,
  recordCase,
  type TryOptions,
  tryStream,
  whatNotices,
} from "../../helpers/power_scenes.js";

/**
 * The long run of power_cut.test.ts: scripts/power_cuts.sh [MINUTES [SEED]]. A failure names the seed of its stream,
 * and the moment.
 */
const minutes = Number(process.env.MILLRACE_POWER_MINUTES ?? 0.5);
const firstSeed = Number(process.env.MILLRACE_POWER_SEED ?? wallMs() % 2 ** 31);

const MANY: TryOptions = { ...USUAL, images: 100, recoveries: 5, imagesPerRecovery: 20 };

it(
  "a power cut of any stream leaves what was promised",
  async () => {
    const tried = { none: nothingTried(), shard: nothingTried(), batch: nothingTried() };
    const until = now() + minutes * 60_000;
    let seed = firstSeed;
    for (; seed === firstSeed || now() < until; seed++) {
      const scene = randomCase(seededRandom(seed));
      try {
        const stream = await recordCase(scene);
        await tryStream(stream, { ...MANY, seed }, tried[stream.durability]);
      } catch (cause) {
        throw new Error(`seed ${seed}: ${(cause as Error).message}\n${JSON.stringify(scene)}`, { cause });
      }
    }
    console.log(`seeds ${firstSeed} to ${seed - 1}`);
    console.table(tried);
  },
  minutes * 60_000 + 600_000,
);

/** Syncs without which, alone, nothing is lost, and why they are there all the same. */
const SPARE: readonly RegExp[] = [
  // Folders that were there before a stream was resumed: its writer cannot know whether their names were ever synced.
  /^(\.|c(\/N)*), a store that is resumed /,
  // What is copied from old shards at durability "batch": the next batch would do, and the old shards are there until
  // then.
  /^(c\/N\/N\/N\.partial|\.millrace\/journal\.N), a store that is resumed .*, batch, /,
  // Before a handle is closed early, or a failed write would be forgotten with it: not what a power cut can show.
  /^c\/N\/N\/N\.partial, an end, one handle/,
  // The name of a journal that was made while the row before was being sealed: the sync at that seal has kept it.
  /^\.millrace, several epochs a batch/,
  // The name of the marker's folder in a new store: the sync of zarr.json's name, in the same folder, keeps it too, and
  // nothing was promised before. Folders are synced where they are made, by code that does not know what follows.
  /^\., .*, a new store$/,
];

it("every sync is needed, but for those that are known", async () => {
  const spare = new Map<string, number>();
  for (const [name, scene] of POWER_SCENES) {
    for (const durability of ["shard", "batch"] as const) {
      const stream = await recordCase({ ...scene, durability });
      for (const [at, path] of syncedPaths(stream)) {
        if ((await whatNotices(stream, new Set([at]))) !== undefined) continue;
        const before = scene.first === undefined ? "a new store" : "an old store";
        const what = `${path.replaceAll(/\d+/g, "N")}, ${name}, ${durability}, ${before}`;
        spare.set(what, (spare.get(what) ?? 0) + 1);
      }
    }
  }
  for (const [what, count] of spare) console.log(`not noticed: ${count} of ${what}`);
  expect([...spare.keys()].filter((what) => !SPARE.some((known) => known.test(what)))).toEqual([]);
}, 3_600_000);
