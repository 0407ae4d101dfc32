import { describe, expect, it } from "vitest";
import type { Durability } from "../../../src/options.js";
import { rowsOf } from "../../helpers/folder_crashes.js";
import { recoverImage } from "../../helpers/power_checks.js";
import { syncedPaths, USUAL } from "../../helpers/power_run.js";
import { POWER_SCENES, type PowerCase, recordCase, whatNotices } from "../../helpers/power_scenes.js";
import { endedAndRecovered, type PowerStream } from "../../helpers/power_stream.js";

/**
 * Each sync there is, left out: then rows are lost, or a torn store is seen. Otherwise the sync, or the model of a
 * power cut, would be worth nothing.
 */

const scene = (name: string): PowerCase => POWER_SCENES.find(([known]) => known === name)![1];
const ROWS = scene("several rows of shards");
const RESUMED = scene("a store that is resumed inside a chunk");
const OVERWRITTEN = scene("a store that is overwritten");

/** Images made: few, then more, since most syncs are missed at once. */
const ROUNDS = [500, 2000, 8000].map((madeMax) => ({ ...USUAL, seed: madeMax, exhaustiveMax: 0, madeMax }));

/** What the sync is of; the n-th of them alone, or all. */
type LeftOut = readonly [what: string, durability: Durability, scene: PowerCase, path: RegExp, nth?: number];

const OF_WRITERS: readonly LeftOut[] = [
  ["the marker's data", "shard", ROWS, /^\.millrace\/writer\.json$/],
  ["the marker's name", "shard", ROWS, /^\.millrace$/, 0],
  ["the store's folders above", "shard", ROWS, /^\//],
  ["the first zarr.json's name", "shard", ROWS, /^\.$/, 1],
  ["zarr.json's data before its rename", "shard", ROWS, /^zarr\.json\.tmp$/],
  ["zarr.json's name", "shard", ROWS, /^\.$/],
  ["a shard's data before its rename", "shard", ROWS, /\.partial$/],
  ["a shard's name", "shard", ROWS, /^c\/\d+\/\d+$/],
  ["the folder of a shard's folder", "shard", ROWS, /^c\/\d+$/],
  ["the folder of all shards", "shard", ROWS, /^c$/],
  ["the journal at a seal", "shard", ROWS, /^\.millrace\/journal/],
  ["the journal's name at a seal", "shard", ROWS, /^\.millrace$/, 1],
  ["the journals' removal", "shard", ROWS, /^\.millrace$/, -1],
  ["a batch's data", "batch", ROWS, /\.partial$/, 0],
  ["an unfinished shard's name", "batch", ROWS, /^c\/\d+\/\d+$/, 0],
  ["the folder of an unfinished shard's folder", "batch", ROWS, /^c\/\d+$/],
  ["the journal at a commit", "batch", ROWS, /^\.millrace\/journal/, 0],
  ["the journal's name at a commit", "batch", ROWS, /^\.millrace$/, 1],
  ["a shard's data before its rename", "batch", ROWS, /\.partial$/],
  ["the marker of a writer that resumes", "shard", RESUMED, /^\.millrace$/, 0],
  ["the marker's folder of a writer that resumes", "shard", RESUMED, /^\.$/, 0],
  ["the old metadata's new name", "shard", OVERWRITTEN, /^\.$/, 0],
  ["the removal of old shards", "shard", OVERWRITTEN, /^\.$/, 1],
];

describe("a writer that leaves out the sync of", () => {
  it.each(OF_WRITERS)("%s, durability %s, is noticed", async (...args) => {
    const [, durability, writes, path, nth] = args as unknown as LeftOut;
    const stream = await recordCase({ ...writes, durability });
    const left = chosen(stream, path, 0, nth);
    expect(left.size).toBeGreaterThan(0);
    for (const round of ROUNDS) if ((await whatNotices(stream, left, 0, round)) !== undefined) return;
    throw new Error("nothing notices it");
  });
});

/** Two rows of shards are committed, and none is sealed: the syncs of the first one's shards take long. */
const TWO_ROWS: PowerCase = {
  ...ROWS,
  publishIntervalMs: 1e9,
  delay: async ({ method, path }) => {
    for (let turn = 0; turn < 40 && method === "file.datasync" && path.endsWith(".partial"); turn++) await nextTurn();
  },
};
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const hasTwoRows = (files: ReadonlyMap<string, unknown>): boolean =>
  files.has(".millrace/journal.1") && files.has("c/0/0/0.partial") && files.has("c/1/0/0.partial");

type LeftOutLater = readonly [
  what: string,
  durability: Durability,
  scene: PowerCase,
  path: RegExp,
  when?: (files: ReadonlyMap<string, unknown>) => boolean,
];

const OF_RECOVERY: readonly LeftOutLater[] = [
  ["the shard that it makes whole", "shard", ROWS, /\.partial$/],
  ["the names of shards", "shard", ROWS, /^c\/\d+\/\d+$/],
  ["zarr.json's data before its rename", "shard", ROWS, /^zarr\.json\.tmp$/],
  ["zarr.json's name", "shard", ROWS, /^\.$/],
  ["the journals that it goes by", "shard", TWO_ROWS, /^\.millrace\/journal/, hasTwoRows],
  ["the journals' names", "shard", TWO_ROWS, /^\.millrace$/, hasTwoRows],
  ["a whole shard that it keeps", "none", ROWS, /^c\/\d+\/\d+\/\d+$/],
  ["the zarr.json that it keeps", "none", ROWS, /^zarr\.json$/],
];

describe("a recovery, after its writer's process has ended, that leaves out the sync of", () => {
  it.each(OF_RECOVERY)("%s, durability %s, is noticed", async (...args) => {
    const [, durability, writes, path, when = () => true] = args as unknown as LeftOutLater;
    const stream = await recordCase({ ...writes, durability });
    for (const round of ROUNDS) {
      for (let operations = 0; operations <= stream.log.length; operations++) {
        const ended = await endedAndRecovered(stream, operations, (fs) => recoverImage(fs, true), when);
        if (ended === undefined || rowsOf(ended.end) === 0) continue;
        const left = chosen(ended, path, operations);
        if (left.size > 0 && (await whatNotices(ended, left, operations, round)) !== undefined) return;
      }
    }
    throw new Error("nothing notices it");
  });
});

/** Places of syncs in the log. @param nth counted from 0, or from the end; all of them by default */
function chosen(stream: PowerStream, path: RegExp, from: number, nth?: number): Set<number> {
  const all = [...syncedPaths(stream)].filter(([at, synced]) => at >= from && path.test(synced)).map(([at]) => at);
  return new Set(nth === undefined ? all : [all.at(nth)!]);
}
