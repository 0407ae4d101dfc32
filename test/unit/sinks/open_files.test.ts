import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OpenFiles, pooledFile } from "../../../src/sinks/open_files.js";
import { type FsHook, hookedFs, osError } from "../../helpers/faulty_fs.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

function setUp(limit: number, hook?: FsHook, syncOnEvict = false) {
  const hooked = hookedFs(hook);
  const files = new OpenFiles(hooked.fs, limit);
  const make = (name: string) => pooledFile(join(folder, name), syncOnEvict);
  const visit = async (file: ReturnType<typeof make>) => {
    const handle = await files.acquire(file);
    await handle.writev([Uint8Array.of(1)], 0);
    files.release(file);
  };
  return { hooked, files, make, visit };
}

describe("OpenFiles", () => {
  it("closes the least recently used handle for the next one, and opens it again", async () => {
    const { hooked, files, make, visit } = setUp(2);
    const [a, b, c] = ["a", "b", "c"].map(make);
    await visit(a);
    await visit(b);
    await visit(a);
    await visit(c);
    expect([a, b, c].map((file) => file.handle !== undefined)).toEqual([true, false, true]);
    await visit(b);
    expect([a, b, c].map((file) => file.handle !== undefined)).toEqual([false, true, true]);
    expect(hooked.openHandlesMax).toBe(2);
    expect(hooked.counts.get("file.datasync")).toBeUndefined();
    for (const file of [a, b, c]) await files.retire(file);
    expect(hooked.openHandles).toBe(0);
    expect(files.heldCount).toBe(0);
  });

  it("does not wait for a handle that is kept: its owner may be the one who opens another", async () => {
    const { hooked, files } = setUp(3, (call, nth) => {
      if (call === "open" && nth === 2) throw osError("EMFILE", "open");
    });
    const kept = await files.openKept(join(folder, "journal"), "wx");
    await expect(files.open(folder, "r")).rejects.toMatchObject({ code: "EMFILE" });
    const handle = await files.open(folder, "r");
    await files.close(handle);
    await files.closeKept(kept);
    expect(hooked.openHandles).toBe(0);
    expect(files.heldCount).toBe(0);
  });

  it("removes a new file that may have been made although the system says it was not, and no other", async () => {
    const seen: string[] = [];
    const { files } = setUp(3, (call, _, path) => {
      if (call === "open") throw osError(path.endsWith("b") ? "EACCES" : "EIO", "open");
      if (call === "unlink") seen.push(path);
    });
    for (const name of ["a", "b"]) await expect(files.open(join(folder, name), "wx")).rejects.toThrow(/injected/);
    await expect(files.open(join(folder, "c"), "r+")).rejects.toThrow(/injected/);
    expect(seen).toEqual([join(folder, "a")]);
  });

  it("never closes a handle in use: who finds none waits, and all get through", async () => {
    const { hooked, files, make } = setUp(3);
    const visits = Array.from({ length: 60 }, async (_, i) => {
      const file = make(`f${i}`);
      for (let round = 0; round < 3; round++) {
        const handle = await files.acquire(file);
        await handle.writev([Uint8Array.of(i)], round);
        await new Promise((resolve) => setImmediate(resolve));
        await handle.writev([Uint8Array.of(i)], round + 10);
        files.release(file);
      }
      await files.retire(file);
    });
    await Promise.all(visits);
    expect(hooked.openHandlesMax).toBe(3);
    expect(hooked.openHandles).toBe(0);
  });

  it("syncs before it closes early, and a failure there belongs to that file alone", async () => {
    const bad = join(folder, "a");
    const hook: FsHook = (call, _nth, path) => {
      if (call === "file.datasync" && path === bad) throw osError("EIO", "fdatasync");
    };
    const { hooked, files, make, visit } = setUp(1, hook, true);
    const [a, b] = ["a", "b"].map(make);
    await visit(a);
    await visit(b);
    expect(hooked.log).toContain(`file.datasync ${bad}`);
    await expect(files.acquire(a)).rejects.toMatchObject({ code: "EIO" });
    await visit(b);
    await files.retire(a);
    await files.retire(b);
    expect(hooked.openHandles).toBe(0);
  });

  it.each(["EMFILE", "ENFILE"])("makes room when the system has no handles left (%s)", async (errno) => {
    // A system with four handles in all, and a limit that hopes for a hundred.
    const system = { open: 0 };
    const hook: FsHook = (call) => {
      if (call === "open" && system.open >= 4) throw osError(errno, "open");
      if (call === "open") system.open++;
      if (call === "file.close") system.open--;
    };
    const { hooked, files, make, visit } = setUp(100, hook);
    const all = Array.from({ length: 20 }, (_, i) => make(`f${i}`));
    for (const file of all) await visit(file);
    for (const file of all) await visit(file);
    await Promise.all(all.map(visit));
    const object = await files.open(join(folder, "object"), "w");
    await files.close(object);
    expect(files.limit).toBeLessThanOrEqual(4);
    for (const file of all) await files.retire(file);
    expect(hooked.openHandles).toBe(0);
  });

  it("gives up when the handles are somebody else's", async () => {
    const { make, files } = setUp(5, (call) => {
      if (call === "open") throw osError("EMFILE", "open");
    });
    await expect(files.acquire(make("a"))).rejects.toMatchObject({ code: "EMFILE" });
    await expect(files.open(join(folder, "b"), "w")).rejects.toMatchObject({ code: "EMFILE" });
    expect(files.heldCount).toBe(0);
  });

  it.each(["b", "c", "d"])("an open that fails leaves its place to others (%s)", async (bad) => {
    const { hooked, make, files, visit } = setUp(1, (call, _nth, path) => {
      if (call === "open" && path === join(folder, bad)) throw osError("EACCES", "open");
    });
    const first = make("a");
    await files.acquire(first);
    const others = ["b", "c", "d"].map(make);
    const visits = Promise.allSettled(others.map(visit));
    files.release(first);
    expect((await visits).map((v) => v.status === "rejected")).toEqual(["b", "c", "d"].map((name) => name === bad));
    for (const file of [first, ...others]) await files.retire(file);
    expect(hooked.openHandles).toBe(0);
  });
});
