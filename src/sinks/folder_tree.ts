import { lstat, mkdir, readdir, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { forEachLimited } from "../base/limited.js";
import { errnoOf } from "./os_error.js";

/**
 * Folders made and removed one call at a time. Node's own `recursive` is used nowhere: where mkdir answers ENOENT below
 * a folder that is there (/proc), it tries again for ever, with a core busy and nothing that could end it.
 */

/** libuv runs four file operations at once. */
const REMOVED_AT_ONCE = 8;

/**
 * Makes a folder and what is missing above it. Resolves to the first folder that had to be made, undefined when all
 * were there. At most two calls a level, whatever they answer. Rejects with the system's error.
 */
export async function makeFolders(path: string): Promise<string | undefined> {
  const missing: string[] = [];
  for (let at = path; !(await isFolder(at)); at = dirname(at)) {
    if (dirname(at) === at) throw osError("ENOENT", "stat", at);
    missing.push(at);
  }
  let first: string | undefined;
  for (const folder of missing.reverse()) {
    try {
      await mkdir(folder);
      first ??= folder;
    } catch (error) {
      // Somebody was faster; or the name is a link to nowhere.
      if (errnoOf(error) !== "EEXIST" || !(await isFolder(folder))) throw error;
    }
  }
  return first;
}

/**
 * Removes a file, or a folder with all that is in it; links are not followed, and what is gone already is no error.
 * @param stopped looked at before each call; once true, what is left stays
 */
export async function removeTree(path: string, stopped: () => boolean = () => false): Promise<void> {
  const found = await unlessAbsent(() => lstat(path));
  if (found !== undefined) await remove(path, found.isDirectory(), stopped);
}

async function remove(path: string, isFolder: boolean, stopped: () => boolean): Promise<void> {
  if (stopped()) return;
  if (!isFolder) {
    await unlessAbsent(() => unlink(path));
    return;
  }
  const entries = (await unlessAbsent(() => readdir(path, { withFileTypes: true }))) ?? [];
  await forEachLimited(entries, REMOVED_AT_ONCE, (entry) =>
    remove(join(path, entry.name), entry.isDirectory(), stopped),
  );
  if (!stopped()) await unlessAbsent(() => rmdir(path));
}

async function isFolder(path: string): Promise<boolean> {
  const found = await unlessAbsent(() => stat(path));
  if (found?.isDirectory() === false) throw osError("ENOTDIR", "mkdir", path);
  return found !== undefined;
}

async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return undefined;
  }
}

function osError(code: string, syscall: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, syscall, path });
}
