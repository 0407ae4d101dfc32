import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isMillraceError } from "../../../src/base/errors.js";
import { FileSink } from "../../../src/sinks/file.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { type FsCall, type FsHook, hookedFs, osError } from "../../helpers/faulty_fs.js";
import { failureOf } from "../../helpers/outcome.js";
import { filesBelow, makeTempFolder, readIfThere, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

const INDEX = coordinateBytes(50, 36);
const KEYS = ["c/0/0", "c/0/1", "c/1/0"];
const expectedOf = (key: string) => {
  const seed = KEYS.indexOf(key);
  return Buffer.concat([coordinateBytes(seed, 3000), coordinateBytes(seed + 10, 2000), INDEX]);
};

interface Outcome {
  /** Keys whose seal resolved. */
  readonly sealed: string[];
  readonly putCount: number;
  readonly errors: unknown[];
}

/**
 * Three shards over a cache of two handles, metadata before and after: what a writer does, stopping at the first error.
 */
async function scenario(sink: FileSink): Promise<Outcome> {
  const sealed: string[] = [];
  const errors: unknown[] = [];
  let putCount = 0;
  const shards = new Map<string, Awaited<ReturnType<FileSink["openShard"]>>>();
  try {
    await sink.open("create");
    await sink.putObject("zarr.json", coordinateBytes(100, 400), true);
    putCount++;
    for (const key of KEYS) shards.set(key, await sink.openShard(key, { maxBytes: 10_000, durable: true }));
    for (const [seed, key] of KEYS.entries()) await shards.get(key)!.write([coordinateBytes(seed, 3000)]);
    for (const [seed, key] of KEYS.entries()) await shards.get(key)!.write([coordinateBytes(seed + 10, 2000)]);
    for (const key of KEYS) {
      await shards.get(key)!.seal(INDEX, true);
      shards.delete(key);
      sealed.push(key);
    }
    await sink.putObject("zarr.json", coordinateBytes(101, 300), true);
    putCount++;
  } catch (error) {
    errors.push(error);
  }
  for (const shard of shards.values()) await shard.abandon(true);
  await sink.close().catch((error) => errors.push(error));
  return { sealed, putCount, errors };
}

const CALLS: FsCall[] = [
  "open",
  "file.writev",
  "file.datasync",
  "file.sync",
  "file.close",
  "rename",
  "mkdir",
  "mkdirAll",
  "kindOf",
];
const ERRNOS = ["EIO", "ENOSPC", "EACCES"];

describe("FileSink, a fault at every call", () => {
  for (const call of CALLS) {
    it(`${call}: the error is reported once, nothing false is visible, no handle stays open`, async () => {
      let faults = 0;
      for (let n = 1; ; n++) {
        await removeFolder(root);
        const errno = ERRNOS[n % ERRNOS.length];
        let struck = false;
        const hooked = hookedFs((name, nth) => {
          if (name !== call || nth !== n) return;
          struck = true;
          throw osError(errno, name);
        });
        const outcome = await scenario(new FileSink({ root, fs: hooked.fs, maxOpenFiles: 2 }));
        const where = `${call} #${n} ${errno}`;
        expect(hooked.openHandles, where).toBe(0);
        if (!struck) {
          expect(outcome, where).toEqual({ sealed: KEYS, putCount: 2, errors: [] });
          break;
        }
        faults++;
        // An evicted file whose close failed is found out when its shard is written or sealed next, so never silently.
        expect(outcome.errors, where).toHaveLength(1);
        const [error] = outcome.errors;
        expect(isMillraceError(error), where).toBe(true);
        expect(error, where).toMatchObject({
          code: { EIO: "SINK_FAILED", ENOSPC: "DISK_FULL", EACCES: "PERMISSION_DENIED" }[errno],
          context: { errno },
        });

        for (const key of KEYS) {
          const bytes = await readIfThere(join(root, key));
          if (outcome.sealed.includes(key)) expect(bytes, where).toBeDefined();
          // After a failed sync of the folder the shard may be there, though not acknowledged; then it is whole.
          if (bytes !== undefined) expect(Buffer.compare(bytes, expectedOf(key)), where).toBe(0);
        }
        const json = await readIfThere(join(root, "zarr.json"));
        const versions = [coordinateBytes(100, 400), coordinateBytes(101, 300)];
        if (outcome.putCount > 0) expect(json, where).toBeDefined();
        if (json !== undefined) expect(versions, where).toContainEqual(json);
        expect(
          (await filesBelow(root)).filter((name) => name.endsWith(".tmp")),
          where,
        ).toEqual([]);
      }
      expect(faults).toBeGreaterThan(0);
    });
  }

  it("short writes at every call change nothing", async () => {
    for (const limit of [1, 7, 999, 1500]) {
      await removeFolder(root);
      const { fs } = hookedFs((call) => (call === "file.writev" ? limit : undefined));
      const outcome = await scenario(new FileSink({ root, fs, maxOpenFiles: 2 }));
      expect(outcome.errors).toEqual([]);
      for (const key of KEYS) expect(Buffer.compare((await readIfThere(join(root, key)))!, expectedOf(key))).toBe(0);
    }
  });
});

describe("FileSink after an error", () => {
  async function failing(hook: FsHook) {
    const hooked = hookedFs(hook);
    const sink = new FileSink({ root, fs: hooked.fs });
    await sink.open("create");
    const shard = await sink.openShard("c/0", { maxBytes: 10_000 });
    return { hooked, sink, shard };
  }

  it("a shard whose write failed cannot be written or sealed", async () => {
    const { sink, shard } = await failing((call, nth) => {
      if (call === "file.writev" && nth === 2) throw osError("ENOSPC", "writev");
    });
    await shard.write([coordinateBytes(0, 100)]);
    const error = await failureOf(shard.write([coordinateBytes(1, 50)]));
    expect(error).toMatchObject({
      code: "DISK_FULL",
      context: { key: "c/0", bytes: 50, position: 100, syscall: "writev" },
    });
    await expect(shard.write([INDEX])).rejects.toBe(error);
    await expect(shard.seal(INDEX, true)).rejects.toBe(error);
    await shard.abandon(false);
    await sink.close();
    expect(await filesBelow(root)).toEqual([]);
  });

  it("a failed fsync is not tried again, for the shard nor for the folder", async () => {
    const { hooked, sink, shard } = await failing((call, nth) => {
      if (call === "file.datasync" && nth === 1) throw osError("EIO", "fdatasync");
      if (call === "file.sync" && nth === 1) throw osError("EIO", "fsync");
    });
    const first = await failureOf(shard.seal(INDEX, true));
    expect(first).toMatchObject({ code: "SINK_FAILED", context: { syscall: "fdatasync", key: "c/0" } });
    await expect(shard.seal(INDEX, true)).rejects.toBe(first);
    expect(hooked.counts.get("file.datasync")).toBe(1);
    await shard.abandon(true);

    for (const key of ["c/1", "c/2"]) {
      const other = await sink.openShard(key, { maxBytes: 100 });
      await expect(other.seal(INDEX, true)).rejects.toMatchObject({ context: { syscall: "fsync" } });
      await other.abandon(true);
    }
    expect(hooked.counts.get("file.sync")).toBe(1);
    await sink.close();
    expect(hooked.openHandles).toBe(0);
  });

  it("two calls on one shard at a time are a bug, and said to be", async () => {
    const { sink, shard } = await failing(() => undefined);
    const running = shard.write([coordinateBytes(0, 100)]);
    expect(() => shard.write([INDEX])).toThrow(/do not overlap/);
    await running;
    await shard.seal(INDEX, false);
    expect(() => shard.write([INDEX])).toThrow(/open/);
    await sink.close();
  });

  it("a second writer on the same shard is found out at once", async () => {
    const { sink } = await failing(() => undefined);
    const other = new FileSink({ root });
    await expect(other.openShard("c/0", { maxBytes: 10 })).rejects.toMatchObject({
      context: { errno: "EEXIST", key: "c/0" },
    });
    await other.close();
    await sink.close().catch(() => {});
  });

  it("abandon waits for the call under way", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { hooked, sink, shard } = await failing((call) => (call === "file.writev" ? held : undefined));
    const writing = shard.write([coordinateBytes(0, 100)]);
    const abandoned = shard.abandon(false);
    release();
    await writing;
    await abandoned;
    await sink.close();
    expect(hooked.openHandles).toBe(0);
    expect(await filesBelow(root)).toEqual([]);
  });
});
