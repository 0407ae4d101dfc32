import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileSink } from "../../../src/sinks/file.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { hookedFs } from "../../helpers/faulty_fs.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "a", "run.zarr");
});
afterEach(() => removeFolder(folder));

const short = (log: string[]) => log.map((line) => line.replaceAll(root, "ROOT").replaceAll(folder, "TOP"));

describe("FileSink, the order of calls", () => {
  it("durable: data, index, fdatasync, close, rename, then every folder whose names are new", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    const shard = await sink.openShard("c/0/1", { maxBytes: 1000 });
    log.length = 0;
    await shard.write([coordinateBytes(0, 10), coordinateBytes(1, 10)]);
    await shard.seal(coordinateBytes(2, 20), true);
    const folders = ["ROOT/c/0", "ROOT/c", "ROOT", "TOP/a", "TOP"];
    expect(short(log)).toEqual([
      "file.writev ROOT/c/0/1.partial",
      "file.writev ROOT/c/0/1.partial",
      "file.datasync ROOT/c/0/1.partial",
      "file.close ROOT/c/0/1.partial",
      "rename ROOT/c/0/1.partial -> ROOT/c/0/1",
      ...folders.flatMap((path) => [`open ${path}`, `file.sync ${path}`, `file.close ${path}`]),
    ]);
    await sink.close();
  });

  it("durable, again in the same folder: only that folder", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    await (await sink.openShard("c/0/1", { maxBytes: 1000 })).seal(coordinateBytes(2, 20), true);
    const next = await sink.openShard("c/0/2", { maxBytes: 1000 });
    log.length = 0;
    await next.seal(coordinateBytes(2, 20), true);
    expect(short(log).filter((line) => line.startsWith("file.sync"))).toEqual(["file.sync ROOT/c/0"]);
    await sink.close();
  });

  it("not durable: no sync at all", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs, maxOpenFiles: 1 });
    await sink.open("create");
    const shards = [];
    for (const key of ["c/0", "c/1"]) shards.push(await sink.openShard(key, { maxBytes: 1000, durable: false }));
    for (const shard of shards) await shard.seal(coordinateBytes(2, 20), false);
    await sink.putObject("zarr.json", coordinateBytes(1, 5), false);
    await sink.close();
    expect(log.filter((line) => line.includes("sync"))).toEqual([]);
  });

  it("objects: temporary file, fdatasync, close, rename, folder", async () => {
    const { fs, log } = hookedFs();
    root = folder;
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    log.length = 0;
    await sink.putObject("zarr.json", coordinateBytes(1, 5), true);
    expect(short(log)).toEqual([
      "open ROOT/zarr.json.tmp",
      "file.writev ROOT/zarr.json.tmp",
      "file.datasync ROOT/zarr.json.tmp",
      "file.close ROOT/zarr.json.tmp",
      "rename ROOT/zarr.json.tmp -> ROOT/zarr.json",
      "open ROOT",
      "file.sync ROOT",
      "file.close ROOT",
    ]);
    await sink.close();
  });

  it("seals that come together share the sync of their folder, which starts after their renames", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    const keys = Array.from({ length: 40 }, (_, i) => `c/${i}`);
    const shards = await Promise.all(keys.map((key) => sink.openShard(key, { maxBytes: 1000 })));
    log.length = 0;
    const done: { key: string; at: number }[] = [];
    await Promise.all(
      shards.map(async (shard, i) => {
        await shard.seal(coordinateBytes(i, 20), true);
        done.push({ key: keys[i], at: log.length });
      }),
    );
    const syncs = log.flatMap((line, at) => (line === `file.sync ${join(root, "c")}` ? [at] : []));
    expect(syncs.length).toBeLessThan(40);
    for (const { key, at } of done) {
      const renamed = log.findIndex((line) => line.startsWith("rename") && line.endsWith(join(root, key)));
      expect(
        syncs.some((sync) => sync > renamed && sync < at),
        key,
      ).toBe(true);
    }
    await sink.close();
  });

  it("a seal never counts a sync of its folder that was under way when it renamed", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { fs, log, counts } = hookedFs((call, nth) => (call === "file.sync" && nth === 1 ? held : undefined));
    root = folder;
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    const shards = await Promise.all(["0", "1", "2"].map((key) => sink.openShard(key, { maxBytes: 100 })));
    const first = shards[0].seal(coordinateBytes(0, 20), true);
    while (counts.get("file.sync") !== 1) await new Promise((resolve) => setImmediate(resolve));
    const others = shards.slice(1).map((shard) => shard.seal(coordinateBytes(0, 20), true));
    while (counts.get("rename") !== 3) await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all([first, ...others]);
    const syncs = log.filter((line) => line === `file.sync ${root}`);
    expect(syncs).toHaveLength(2);
    await sink.close();
  });

  it("folders side by side share the sync of their parent, unless one is made while that is under way", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const parent = join(root, "c/0");
    let isHeld = false;
    const { fs, log } = hookedFs((call, _, path) => {
      if (call !== "file.sync" || path !== parent || isHeld) return undefined;
      isHeld = true;
      return held.then(() => undefined);
    });
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    const keys = Array.from({ length: 10 }, (_, i) => `c/0/${i}/0`);
    const shards = await Promise.all(keys.map((key) => sink.openShard(key, { maxBytes: 1000 })));
    const seals = shards.map((shard) => shard.seal(coordinateBytes(0, 20), true));
    while (!isHeld) await new Promise((resolve) => setImmediate(resolve));
    const late = await sink.openShard("c/0/10/0", { maxBytes: 1000 });
    const lateSeal = late.seal(coordinateBytes(0, 20), true);
    release();
    await Promise.all([...seals, lateSeal]);
    expect(log.filter((line) => line === `file.sync ${parent}`)).toHaveLength(2);
    await sink.close();
  });

  it("an unfinished shard that is given up is gone from the medium too", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    for (const durable of [true, false]) {
      const shard = await sink.openShard("c/0", { maxBytes: 1000, durable });
      log.length = 0;
      await shard.abandon(false);
      expect(short(log).slice(0, 2)).toEqual(["file.close ROOT/c/0.partial", "unlink ROOT/c/0.partial"]);
      expect(log.some((line) => line === `file.sync ${join(root, "c")}`)).toBe(durable);
    }
    await sink.close();
  });

  it("an endless row of folders does not grow the cache, and each new name is still synced", async () => {
    const { fs, log } = hookedFs();
    const sink = new FileSink({ root, fs });
    await sink.open("create");
    const count = 1100;
    for (let t = 0; t < count; t++) {
      const shard = await sink.openShard(`c/${t}/0`, { maxBytes: 100, durable: false });
      await shard.seal(coordinateBytes(t, 16), false);
    }
    // Forgotten by now: made again without harm, and synced with its parents.
    log.length = 0;
    const shard = await sink.openShard("c/0/1", { maxBytes: 100 });
    await shard.seal(coordinateBytes(1, 16), true);
    const synced = short(log).filter((line) => line.startsWith("file.sync"));
    expect(synced).toEqual(expect.arrayContaining(["ROOT/c/0", "ROOT/c", "ROOT"].map((path) => `file.sync ${path}`)));
    expect(log).toContain(`mkdir ${dirname(join(root, "c/0/1"))}`);
    await sink.close();
  });
});
