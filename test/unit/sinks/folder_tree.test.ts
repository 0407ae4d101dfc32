import { existsSync } from "node:fs";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeFolder as removeOwnFolder } from "../../../src/cli/remove_folder.js";
import { FileSink } from "../../../src/sinks/file.js";
import { makeFolders, removeTree } from "../../../src/sinks/folder_tree.js";
import { failureOf } from "../../helpers/outcome.js";
import { filesBelow, makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

/** Files, empty folders and links, some levels deep. */
async function plant(root: string): Promise<void> {
  for (const name of ["a/b/c/x", "a/b/y", "z"]) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), name);
  }
  await mkdir(join(root, "empty"));
}

it("makes what is missing, and says what was the first", async () => {
  expect(await makeFolders(join(folder, "a/b/c"))).toBe(join(folder, "a"));
  expect(await makeFolders(join(folder, "a/b/d"))).toBe(join(folder, "a/b/d"));
  expect(await makeFolders(join(folder, "a/b/d"))).toBe(undefined);
  expect(await readdir(join(folder, "a/b"))).toEqual(["c", "d"]);
});

it("two that make the same folders at the same time both find them", async () => {
  const path = join(folder, "a/b/c/d");
  const made = await Promise.all(Array.from({ length: 8 }, () => makeFolders(path)));
  expect(made).toContain(join(folder, "a"));
  expect(existsSync(path)).toBe(true);
});

it("stops at a file and at a link to nowhere, with the system's error", async () => {
  await writeFile(join(folder, "file"), "");
  await symlink(join(folder, "nowhere"), join(folder, "link"));
  await expect(makeFolders(join(folder, "file"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(makeFolders(join(folder, "file/a"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(makeFolders(join(folder, "link/a"))).rejects.toMatchObject({ code: "EEXIST" });
  await symlink(folder, join(folder, "here"));
  expect(await makeFolders(join(folder, "here/a"))).toBe(join(folder, "here/a"));
});

// The kernel's answer to mkdir in a folder that takes none: Node's own recursive mkdir tries for ever.
it.skipIf(!existsSync("/proc/self"))("ends where the file system makes no folders", async () => {
  for (const place of ["/proc/x.zarr", "/proc/x/y/z.zarr"]) {
    await expect(makeFolders(place)).rejects.toMatchObject({ code: "ENOENT", syscall: "mkdir" });
    const error = await failureOf(new FileSink({ root: place }).open("create"));
    expect(error).toMatchObject({ code: "SINK_FAILED", context: { path: place, errno: "ENOENT", syscall: "mkdir" } });
    expect(error.hint).toContain("choose another place");
  }
});

it("removes a tree and follows no link", async () => {
  const [tree, other] = [join(folder, "tree"), join(folder, "other")];
  await plant(tree);
  await plant(other);
  await symlink(other, join(tree, "link"));
  await symlink(join(folder, "nowhere"), join(tree, "dangling"));
  await removeTree(tree);
  await removeTree(tree);
  expect(await readdir(folder)).toEqual(["other"]);
  await removeTree(join(other, "z"));
  expect((await filesBelow(other)).sort()).toEqual(["a/b/c/x", "a/b/y"]);
  await symlink(folder, join(other, "link"));
  removeOwnFolder(other);
  expect(await readdir(folder)).toEqual([]);
});

it("leaves the rest of a tree once it is stopped", async () => {
  const tree = join(folder, "tree");
  await mkdir(tree);
  for (let i = 0; i < 100; i++) await writeFile(join(tree, `${i}`), "");
  let calls = 0;
  await removeTree(tree, () => ++calls > 40);
  expect((await readdir(tree)).length).toBeGreaterThan(50);
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
});
