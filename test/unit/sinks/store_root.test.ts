import { mkdir, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileSink } from "../../../src/sinks/file.js";
import { nodeFileSystem } from "../../../src/sinks/file_system.js";
import { refuseExisting, removeStore, requireStore } from "../../../src/sinks/store_root.js";
import { hookedFs, osError } from "../../helpers/faulty_fs.js";
import { failureOf } from "../../helpers/outcome.js";
import { filesBelow, makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

async function put(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), name);
  }
}

describe("requireStore", () => {
  it("takes a folder with metadata and without a marker, and nothing else", async () => {
    await expect(requireStore(nodeFileSystem, root)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await put("c/0/0");
    await expect(requireStore(nodeFileSystem, root)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await put("zarr.json");
    await requireStore(nodeFileSystem, root);
    await put(".millrace/writer.json");
    await expect(requireStore(nodeFileSystem, root)).rejects.toMatchObject({
      code: "STORE_NOT_CLOSED",
      context: { location: root, key: ".millrace/writer.json" },
    });
    await expect(requireStore(nodeFileSystem, join(root, "zarr.json"))).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });
});

describe("refuseExisting", () => {
  it("accepts nothing, an empty folder, and empty folders in it", async () => {
    await refuseExisting(nodeFileSystem, root);
    await mkdir(join(root, "lost+found"), { recursive: true });
    await refuseExisting(nodeFileSystem, root);
  });

  it.each([["zarr.json"], ["notes.txt"], ["c/0/0"], [".millrace/journal"]])(
    "refuses a folder with %s",
    async (name) => {
      await put(name);
      await expect(refuseExisting(nodeFileSystem, root)).rejects.toMatchObject({
        code: "STORE_EXISTS",
        context: { path: root, entries: 1 },
      });
    },
  );

  it("says so when the path is a file, or goes through one", async () => {
    await writeFile(root, "");
    const expected = { code: "INVALID_OPTION", context: { path: root, option: "path" } };
    await expect(refuseExisting(nodeFileSystem, root)).rejects.toMatchObject(expected);
    await expect(removeStore(nodeFileSystem, root)).rejects.toMatchObject(expected);
    const through = refuseExisting(nodeFileSystem, join(root, "below"));
    await expect(through).rejects.toMatchObject({ code: "SINK_FAILED", context: { errno: "ENOTDIR" } });
  });
});

describe("removeStore", () => {
  it("removes a store's content and keeps the folder", async () => {
    await put("zarr.json", "c/0/0", "c/1/0", ".millrace/journal", "0/zarr.json");
    await removeStore(nodeFileSystem, root);
    expect(await filesBelow(root)).toEqual([]);
    expect(await nodeFileSystem.kindOf(root)).toBe("folder");
    expect(await nodeFileSystem.entries(root)).toEqual([]);
  });

  it("touches nothing where more than a store lies, names it, and deletes it when forced", async () => {
    const notes = ["notes 1.txt", "notes 2.txt", "notes 3.txt", "notes 4.txt", "raw/a.tif", "raw 2", "zarr.json.bak"];
    await put("zarr.json", "c/0/0", "0/zarr.json", "new/.millrace/writer.json", ...notes);
    const before = await filesBelow(root);
    const sink = new FileSink({ root });
    await expect(sink.open("overwrite")).rejects.toMatchObject({
      code: "STORE_FOREIGN",
      context: { path: root, entries: 7, names: ["notes 1.txt", "notes 2.txt", "notes 3.txt", "notes 4.txt", "raw"] },
      message: expect.stringContaining("and 2 more"),
    });
    await sink.close();
    expect(await filesBelow(root)).toEqual(before);
    const forced = new FileSink({ root, force: true });
    await forced.open("overwrite");
    await forced.close();
    expect(await filesBelow(root)).toEqual([]);
  });

  it("touches nothing in a folder that is no store", async () => {
    await put("thesis.tex", "c/0/0");
    await expect(removeStore(nodeFileSystem, root)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      context: { path: root },
    });
    expect(await filesBelow(root)).toEqual(["c/0/0", "thesis.tex"]);
  });

  it.each(["/", homedir(), dirname(homedir())])("never deletes %s, store or not", async (place) => {
    // Nothing real is at risk: the file system is one that claims a zarr.json there and refuses to change anything.
    const { fs } = hookedFs((call) => {
      if (["rename", "removeTree", "unlink", "mkdir", "mkdirAll", "open"].includes(call)) throw osError("EIO", call);
    });
    const claims = {
      ...fs,
      entries: async () => [{ name: "zarr.json", isFolder: false }],
      kindOf: async () => "folder" as const,
    };
    await expect(removeStore(claims, place)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it("is not fooled by a link to the home folder", async () => {
    const { fs } = hookedFs((call) => {
      if (["rename", "removeTree", "unlink"].includes(call)) throw osError("EIO", call);
    });
    const claims = {
      ...fs,
      entries: async () => [{ name: "zarr.json", isFolder: false }],
      kindOf: async () => "folder" as const,
      realpath: async () => homedir(),
    };
    await expect(removeStore(claims, root)).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it.skipIf(process.platform === "win32")(
    "is not fooled by a home folder that is a link, or is not there",
    async () => {
      await put("zarr.json", "home/thesis.tex");
      await symlink(join(root, "home"), join(folder, "home"));
      const { HOME } = process.env;
      try {
        process.env.HOME = join(folder, "home");
        expect(homedir()).toBe(join(folder, "home"));
        await expect(removeStore(nodeFileSystem, root, undefined, true)).rejects.toMatchObject({
          code: "INVALID_OPTION",
        });
        expect(await filesBelow(root)).toEqual(["home/thesis.tex", "zarr.json"]);
        process.env.HOME = join(folder, "nowhere");
        await removeStore(nodeFileSystem, root, undefined, true);
      } finally {
        process.env.HOME = HOME;
      }
      expect(await filesBelow(root)).toEqual([]);
    },
  );

  it("syncs the store's absence before it removes shards, and their removal before it forgets them", async () => {
    await put("zarr.json", "c/0/0");
    const { fs, log } = hookedFs();
    await removeStore(fs, root);
    const changes = log.filter((line) => /^(rename|removeTree|file\.sync)/.test(line));
    expect(changes.map((line) => line.replaceAll(root, "ROOT"))).toEqual([
      "rename ROOT/zarr.json -> ROOT/zarr.json.overwritten",
      "file.sync ROOT",
      "removeTree ROOT/c",
      "file.sync ROOT",
      "removeTree ROOT/zarr.json.overwritten",
    ]);
  });

  it("stops between two files once nobody wants it, and can be run again", async () => {
    await put("zarr.json", ...Array.from({ length: 50 }, (_, i) => `c/${i}`));
    const sink = new FileSink({ root });
    sink.hurry();
    const error = await failureOf(sink.open("overwrite"));
    expect(error).toMatchObject({ code: "WRITER_ABORTED", context: { path: root } });
    await sink.close();
    expect(await filesBelow(root)).toContain("c/49");
    await removeStore(nodeFileSystem, root);
    expect(await filesBelow(root)).toEqual([]);
  });

  it.each(["EINVAL", "ENOTSUP", "EPERM"])("goes on where folders cannot be synced: %s", async (code) => {
    await put("zarr.json", "c/0/0");
    const { fs } = hookedFs((call) => {
      if (call === "file.sync") throw osError(code, "fsync");
    });
    await removeStore(fs, root);
    expect(await filesBelow(root)).toEqual([]);
  });

  it("removes no shard when the sync before has failed", async () => {
    await put("zarr.json", "c/0/0");
    const { fs } = hookedFs((call) => {
      if (call === "file.sync") throw osError("EIO", "fsync");
    });
    await expect(removeStore(fs, root)).rejects.toMatchObject({ code: "SINK_FAILED", context: { errno: "EIO" } });
    expect(await filesBelow(root)).toEqual(["c/0/0", "zarr.json.overwritten"]);
  });

  it("interrupted anywhere, it shows no store with holes and can be run again", async () => {
    for (let stopAt = 1; ; stopAt++) {
      await removeFolder(root);
      await put("zarr.json", "a/zarr.json", "c/0/0", "0");
      let changes = 0;
      const { fs } = hookedFs((call) => {
        if ((call === "rename" || call === "removeTree") && ++changes === stopAt) throw osError("EIO", call);
      });
      const done = await removeStore(fs, root).then(
        () => true,
        () => false,
      );
      if (done) {
        expect(stopAt).toBe(6);
        break;
      }
      const left = await filesBelow(root);
      if (left.includes("zarr.json")) expect(left).toEqual(["0", "a/zarr.json", "c/0/0", "zarr.json"]);
      await expect(refuseExisting(nodeFileSystem, root)).rejects.toMatchObject({ code: "STORE_EXISTS" });
      await removeStore(nodeFileSystem, root);
      expect(await filesBelow(root)).toEqual([]);
    }
  });
});
