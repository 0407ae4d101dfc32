import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { FileSink } from "../../../src/sinks/file.js";
import { type FileSystem, nodeFileSystem } from "../../../src/sinks/file_system.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { failureOf } from "../../helpers/outcome.js";
import { filesBelow } from "../../helpers/temp_folder.js";

/** Errors that a real kernel makes, not our own. What a machine does not allow is reported as skipped. */

const isLinux = process.platform === "linux";
const folder = mkdtempSync(join(tmpdir(), "millrace-test-"));
const undo: (() => void)[] = [];
afterAll(() => {
  for (const step of undo.reverse()) step();
  rmSync(folder, { recursive: true, force: true });
});

function allowed(command: string, args: string[], undoArgs: [string, string[]]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
  } catch {
    return false;
  }
  undo.push(() => execFileSync(undoArgs[0], undoArgs[1], { stdio: "ignore" }));
  return true;
}

const INDEX = coordinateBytes(9, 20);

async function openShard(sink: FileSink, key = "c/0") {
  await sink.open("create");
  return sink.openShard(key, { maxBytes: 8 << 20 });
}

describe("a full disk", () => {
  const small = mkdtempSync(join(folder, "small-"));
  const mounted = isLinux && allowed("mount", ["-t", "tmpfs", "-o", "size=1m", "none", small], ["umount", [small]]);

  it.skipIf(!mounted)(
    "DISK_FULL in the write that did not fit; sealed shards stay, the name never appears",
    async () => {
      const sink = new FileSink({ root: join(small, "run.zarr") });
      const first = await openShard(sink);
      await first.write([coordinateBytes(0, 500_000)]);
      await first.seal(INDEX, true);
      const second = await sink.openShard("c/1", { maxBytes: 8 << 20 });
      const error = await failureOf(second.write([coordinateBytes(1, 700_000)]));
      expect(error).toMatchObject({
        code: "DISK_FULL",
        context: { key: "c/1", errno: "ENOSPC", syscall: expect.stringMatching(/write/), bytes: 700_000, position: 0 },
      });
      expect(error.hint).toContain("Free space");
      await expect(second.seal(INDEX, true)).rejects.toBe(error);
      const object = sink.putObject("zarr.json", coordinateBytes(3, 700_000), true);
      await expect(object).rejects.toMatchObject({ code: "DISK_FULL", context: { key: "zarr.json" } });
      await second.abandon(false);
      await sink.close();
      expect(await filesBelow(join(small, "run.zarr"))).toEqual(["c/0"]);
    },
  );

  it.skipIf(!isLinux)("DISK_FULL from /dev/full, which needs no rights", async () => {
    const full: FileSystem = {
      ...nodeFileSystem,
      async open(path, flags) {
        if (!path.endsWith(".partial")) return nodeFileSystem.open(path, flags);
        const handle = await open("/dev/full", "r+");
        const unasked = () => Promise.reject(new Error("a shard's file is not read or cut while it is written"));
        return {
          read: unasked,
          size: unasked,
          links: unasked,
          truncate: unasked,
          writev: async (views) => (await handle.writev(views)).bytesWritten,
          datasync: () => handle.datasync(),
          sync: () => handle.sync(),
          close: () => handle.close(),
        };
      },
    };
    const root = join(folder, "full.zarr");
    const sink = new FileSink({ root, fs: full });
    const shard = await openShard(sink);
    await expect(shard.write([INDEX])).rejects.toMatchObject({ code: "DISK_FULL", context: { errno: "ENOSPC" } });
    await shard.abandon(true);
    await sink.close();
    expect(await filesBelow(root)).toEqual([]);
  });
});

describe("a limit on the size of files", () => {
  it.skipIf(!isLinux)("DISK_FULL with a hint, after what did fit was written", async () => {
    const setLimit = (bytes: string) => execFileSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]);
    const root = join(folder, "limited.zarr");
    const sink = new FileSink({ root });
    const shard = await openShard(sink);
    setLimit("65536");
    let error: { hint?: string } | undefined;
    try {
      await shard.write([coordinateBytes(0, 60_000)]);
      // The kernel takes the part that fits and reports no error: only the rest of the call meets the limit.
      error = await failureOf(shard.write([coordinateBytes(1, 10_000)]));
    } finally {
      setLimit("unlimited");
    }
    expect(error).toMatchObject({ code: "DISK_FULL", context: { errno: "EFBIG", position: 60_000, bytes: 10_000 } });
    expect(error?.hint).toContain("ulimit -f");
    await expect(shard.seal(INDEX, false)).rejects.toBe(error);
    await shard.abandon(true);
    await sink.close();
    expect(await filesBelow(root)).toEqual(["c/0.partial"]);
  });
});

describe("a folder without permission", () => {
  // Root ignores modes, but not the immutable attribute, where the file system has it.
  const locked = mkdtempSync(join(folder, "locked-"));
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) {
    chmodSync(locked, 0o555);
    undo.push(() => chmodSync(locked, 0o755));
  }
  const refuses = !isRoot || allowed("chattr", ["+i", locked], ["chattr", ["-i", locked]]);

  it.skipIf(!refuses)("PERMISSION_DENIED for the root, for shards and for objects", async () => {
    await expect(new FileSink({ root: join(locked, "run.zarr") }).open("create")).rejects.toMatchObject({
      code: "PERMISSION_DENIED",
      context: { path: join(locked, "run.zarr"), syscall: "mkdir" },
    });
    const sink = new FileSink({ root: locked });
    await sink.open("create");
    for (const key of ["0", "c/0"]) {
      const expected = { code: "PERMISSION_DENIED", hint: expect.stringContaining("mode") };
      await expect(sink.openShard(key, { maxBytes: 10 })).rejects.toMatchObject(expected);
      await expect(sink.putObject(key, INDEX, false)).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    }
    await sink.close();
    expect(sink.openHandleCount).toBe(0);
  });
});

describe("too few file handles", () => {
  it.skipIf(!isLinux)("a limit far below the cache's own is met by closing handles", async () => {
    const used = 60;
    const setLimit = (value: string) => execFileSync("prlimit", ["--pid", String(process.pid), `--nofile=${value}:`]);
    const before = execFileSync("prlimit", ["--pid", String(process.pid), "--nofile", "--output=SOFT", "--noheadings"]);
    const root = join(folder, "handles.zarr");
    const sink = new FileSink({ root, maxOpenFiles: 500 });
    await sink.open("create");
    setLimit(String(used));
    try {
      const keys = Array.from({ length: 200 }, (_, i) => `c/${i}`);
      const shards = await Promise.all(keys.map((key) => sink.openShard(key, { maxBytes: 5000 })));
      await Promise.all(shards.map((shard, i) => shard.write([coordinateBytes(i, 300)])));
      await sink.putObject("zarr.json", INDEX, true);
      await Promise.all(shards.map((shard) => shard.seal(INDEX, false)));
      await sink.close();
    } finally {
      setLimit(before.toString().trim());
    }
    expect(await filesBelow(root)).toHaveLength(201);
    expect(sink.openHandleCount).toBe(0);
  });
});
