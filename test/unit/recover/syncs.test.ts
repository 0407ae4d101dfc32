import { describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import { ROOT, rowsOf } from "../../helpers/folder_crashes.js";
import { checkPowerCut, recoverImage } from "../../helpers/power_checks.js";
import { syncedPaths } from "../../helpers/power_run.js";
import { POWER_SCENES, type PowerCase, recordCase } from "../../helpers/power_scenes.js";
import type { PowerStream } from "../../helpers/power_stream.js";
import type { RecordingFs } from "../../helpers/recording_fs.js";

const scene = (name: string): PowerCase => POWER_SCENES.find(([known]) => known === name)![1];

/** How often each path was synced. */
function syncCounts(stream: PowerStream): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const path of syncedPaths(stream).values()) counts[path] = (counts[path] ?? 0) + 1;
  return counts;
}

describe("a stream of three rows of two shards each, one epoch a batch, syncs", () => {
  const ROWS = scene("several rows of shards");

  it("nothing at durability none", async () => {
    expect(syncCounts(await recordCase({ ...ROWS, durability: "none" }))).toEqual({});
  });

  it("each shard and journal once, and each folder once for all that is new in it, at durability shard", async () => {
    const counts = syncCounts(await recordCase({ ...ROWS, durability: "shard", publishIntervalMs: 1e9 }));
    const each = (names: readonly string[]) =>
      names.flatMap((name) => [0, 1, 2].map((row) => name.replace("N", `${row}`)));
    const once = each(["c/N", "c/N/0", "c/N/1", "c/N/0/0.partial", "c/N/1/0.partial", ".millrace/journal.N"]);
    expect(counts).toEqual({
      ...Object.fromEntries(once.map((path) => [path, 1])),
      c: 3,
      ".": 4,
      "/": 1,
      "/data": 1,
      [MARKER_KEY]: 1,
      "zarr.json.tmp": 2,
      // The marker's name, three journals' names, and that they are gone.
      ".millrace": 5,
    });
  });

  it("shards and journals once a batch, and shards once more when they are sealed, at durability batch", async () => {
    const counts = syncCounts(await recordCase({ ...ROWS, durability: "batch" }));
    expect([0, 1, 2].map((row) => counts[`.millrace/journal.${row}`])).toEqual([2, 2, 1]);
    expect([0, 1, 2].map((row) => counts[`c/${row}/0/0.partial`])).toEqual([3, 3, 2]);
  });
});

/** What is there when the process ends behind the first operation that is looked for. */
function leftBehind(stream: PowerStream, find: (path: string) => boolean): RecordingFs {
  const fs = stream.base.copy();
  for (const operation of stream.log) {
    fs.apply(operation);
    const path = operation.op === "rename" ? operation.to : "path" in operation ? operation.path : "";
    if (find(path.slice(ROOT.length + 1))) return fs;
  }
  throw new Error("there is no such operation");
}

async function overwrite(fs: RecordingFs, key: string, position: number, bytes: Uint8Array): Promise<void> {
  const file = await fs.open(`${ROOT}/${key}`, "r+");
  await file.truncate(Math.max(0, (await file.size()) + Math.min(0, position)));
  await file.writev([bytes], await file.size());
  await file.close();
}

describe("recovery of a store that is resumed", () => {
  const RESUMED = scene("a store that is resumed inside a chunk");

  it.each([
    ["empty", new Uint8Array(0)],
    ["zeros", new Uint8Array(200)],
    ["cut off", new TextEncoder().encode('{"format": 1, "writeId": "12')],
  ])(
    "takes a marker that was torn while it was put for one of a writer that has done nothing: %s",
    async (_, bytes) => {
      const stream = await recordCase(RESUMED);
      const fs = leftBehind(stream, (path) => path === MARKER_KEY);
      await overwrite(fs, MARKER_KEY, -1e6, bytes);
      await checkPowerCut(fs, { opened: true, durable: 5, published: 5 }, stream);
    },
  );

  it("still refuses a marker of another version", async () => {
    const stream = await recordCase(RESUMED);
    const fs = leftBehind(stream, (path) => path === MARKER_KEY);
    await overwrite(fs, MARKER_KEY, -1e6, new TextEncoder().encode('{"format":2}'));
    await expect(recoverImage(fs)).rejects.toMatchObject({ code: "STORE_UNSUPPORTED" });
  });

  it("gives a shard whose index is torn a new one, though rows in it were published", async () => {
    const stream = await recordCase({ ...RESUMED, durability: "none" });
    const fs = leftBehind(stream, (path) => path === "c/1/1/0");
    await overwrite(fs, "c/1/0/0", -4, new Uint8Array(4));
    await recoverImage(fs, true);
    expect(rowsOf(fs)).toBeGreaterThanOrEqual(8);
    await checkPowerCut(fs, { opened: true, durable: 8, published: 8 }, stream);
  });
});
