import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DirectFileHandle } from "../../../src/native/addon.js";
import { type DirectAddon, DirectFiles } from "../../../src/sinks/direct_file.js";
import { FileSink } from "../../../src/sinks/file.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { osError } from "../../helpers/faulty_fs.js";
import { filesBelow, makeDiskFolder, readIfThere, removeFolder } from "../../helpers/temp_folder.js";

/** Stands in for the addon: same order of bytes, same rule for the tail of a page; fails as told. */
class FakeAddon implements DirectAddon {
  readonly log: string[] = [];
  openError: Error | undefined;
  appendError: Error | undefined;
  finishError: Error | undefined;

  directOpen(path: string): DirectFileHandle {
    if (this.openError !== undefined) throw this.openError;
    this.log.push("open");
    return { fd: openSync(path, "wx"), tail: [] as number[] } as unknown as DirectFileHandle;
  }
  directAppend(file: DirectFileHandle, views: readonly Uint8Array[], done: (error: Error | null) => void): void {
    this.log.push("append");
    if (this.appendError !== undefined) return void setImmediate(done, this.appendError);
    const state = file as unknown as { fd: number; tail: number[] };
    const all = [...state.tail, ...views.flatMap((view) => [...view])];
    const whole = all.length - (all.length % 4096);
    writeSync(state.fd, Uint8Array.from(all.slice(0, whole)));
    state.tail = all.slice(whole);
    setImmediate(done, null);
  }
  directFinish(file: DirectFileHandle, sync: boolean, done: (error: Error | null) => void): void {
    this.log.push(sync ? "finish+sync" : "finish");
    const state = file as unknown as { fd: number; tail: number[] };
    if (this.finishError === undefined) writeSync(state.fd, Uint8Array.from(state.tail));
    closeSync(state.fd);
    state.fd = -1;
    setImmediate(done, this.finishError ?? null);
  }
  directAbandon(file: DirectFileHandle): void {
    this.log.push("abandon");
    const state = file as unknown as { fd: number };
    if (state.fd >= 0) closeSync(state.fd);
    state.fd = -1;
  }
}

const INDEX = coordinateBytes(9, 20);
const data = coordinateBytes(1, 10_000);
let root: string;
let addon: FakeAddon;
let direct: DirectFiles;
let sink: FileSink;
beforeEach(async () => {
  root = await makeDiskFolder();
  addon = new FakeAddon();
  direct = new DirectFiles(addon, 2);
  sink = new FileSink({ root, direct, maxOpenFiles: 4 });
  await sink.open("create");
});
afterEach(() => removeFolder(root));

describe("direct I/O", () => {
  it("writes, finishes with a sync where asked, and publishes like any other file", async () => {
    const shard = await sink.openShard("c/0", { maxBytes: 20_000 });
    await shard.write([data.subarray(0, 5000), data.subarray(5000)]);
    await shard.seal(INDEX, true);
    expect(addon.log).toEqual(["open", "append", "append", "finish+sync"]);
    expect(await readIfThere(join(root, "c/0"))).toEqual(new Uint8Array([...data, ...INDEX]));
    expect(direct.openCount).toBe(0);
    await (await sink.openShard("c/1", { maxBytes: 100 })).seal(INDEX, false);
    expect(addon.log.at(-1)).toBe("finish");
    await sink.close();
  });

  it("goes through the cache once the file system has refused, or when too many are open", async () => {
    const shards = [];
    for (const key of ["c/0", "c/1", "c/2"]) shards.push(await sink.openShard(key, { maxBytes: 20_000 }));
    expect(addon.log).toEqual(["open", "open"]);
    expect(direct.openCount).toBe(2);
    for (const shard of shards) await shard.write([data]);
    for (const shard of shards) await shard.seal(INDEX, false);
    for (const key of ["c/0", "c/1", "c/2"]) {
      expect(await readIfThere(join(root, key))).toEqual(new Uint8Array([...data, ...INDEX]));
    }
    addon.openError = osError("NATIVE_DIRECT_UNSUPPORTED");
    await (await sink.openShard("c/3", { maxBytes: 100 })).seal(INDEX, false);
    addon.openError = osError("EIO");
    await (await sink.openShard("c/4", { maxBytes: 100 })).seal(INDEX, false);
    expect(await readIfThere(join(root, "c/4"))).toEqual(INDEX);
    await sink.close();
  });

  it.each(["EMFILE", "ENFILE"])("%s: the cache can make room", async (errno) => {
    addon.openError = osError(errno);
    await (await sink.openShard("c/0", { maxBytes: 100 })).seal(INDEX, false);
    addon.openError = undefined;
    await (await sink.openShard("c/1", { maxBytes: 100 })).seal(INDEX, false);
    expect(addon.log).toEqual(["open", "append", "finish"]);
    await sink.close();
  });

  it("maps errors, seals nothing after them, and closes", async () => {
    addon.openError = osError("ENOSPC", "open");
    const opening = sink.openShard("c/9", { maxBytes: 100 });
    await expect(opening).rejects.toMatchObject({ code: "DISK_FULL", context: { key: "c/9", syscall: "open" } });
    addon.openError = undefined;

    const shard = await sink.openShard("c/0", { maxBytes: 100 });
    addon.appendError = osError("ENOSPC", "pwrite");
    await expect(shard.write([data])).rejects.toMatchObject({ code: "DISK_FULL", context: { syscall: "pwrite" } });
    await expect(shard.seal(INDEX, true)).rejects.toMatchObject({ code: "DISK_FULL" });
    await shard.abandon(true);
    expect(addon.log).toEqual(["open", "append", "abandon"]);
    addon.appendError = undefined;

    const other = await sink.openShard("c/1", { maxBytes: 100 });
    addon.finishError = osError("EIO", "fdatasync");
    await expect(other.seal(INDEX, true)).rejects.toMatchObject({
      code: "SINK_FAILED",
      context: { syscall: "fdatasync" },
    });
    await other.abandon(false);
    expect(direct.openCount).toBe(0);
    await sink.close();
    expect(await filesBelow(root)).toEqual(["c/0.partial"]);
  });

  it("a kept shard keeps the tail of its last page too", async () => {
    const shard = await sink.openShard("c/0", { maxBytes: 20_000 });
    await shard.write([data]);
    await shard.abandon(true);
    expect(await readIfThere(join(root, "c/0.partial"))).toEqual(data);
    const other = await sink.openShard("c/1", { maxBytes: 20_000 });
    await other.write([data]);
    await other.abandon(false);
    expect(await filesBelow(root)).toEqual(["c/0.partial"]);
    expect(direct.openCount).toBe(0);
    await sink.close();
  });
});
