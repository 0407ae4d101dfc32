import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";

/** Below the system's folder for temporary files, which is memory where `scripts/test.js` found enough of it. */
export function makeTempFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "millrace-test-"));
}

/** The same on a disk, for tests of what memory has no part in: direct I/O. */
export function makeDiskFolder(): Promise<string> {
  return mkdtemp(join(process.env.MILLRACE_TEST_DISK ?? tmpdir(), "millrace-test-"));
}

export function removeFolder(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}

/** Paths of all files below a folder, relative, with slashes, sorted. Nothing when it is missing. */
export async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const files = entries.filter((e) => !e.isDirectory());
  return files.map((e) => relative(root, join(e.parentPath ?? e.path, e.name)).replaceAll(sep, "/")).sort();
}

export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
