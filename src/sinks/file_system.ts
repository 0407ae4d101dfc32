import { constants, type Stats } from "node:fs";
import { type FileHandle, mkdir, open, readdir, realpath, rename, rmdir, stat, unlink } from "node:fs/promises";
import { makeFolders, removeTree } from "./folder_tree.js";
import { notOurs } from "./not_ours.js";
import { errnoOf } from "./os_error.js";

/**
 * The calls that the file sink and recovery make, and no others. Tests wrap it to fail, hold or record any of them.
 * Every function rejects with the operating system's error (`code`, `syscall`).
 */
export interface FileSystem {
  /**
   * "wx": new file, EEXIST when it is there. "w": new or cut to zero. "r+": existing, for writing. "r": a folder, to
   * sync it, or a file, to read it. Files are regular files: a pipe or a device is refused and never waited for, and
   * writing follows no link that is the last part of the path.
   * @throws MillraceError STORE_FOREIGN for any of those
   */
  open(path: string, flags: "wx" | "w" | "r+" | "r"): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** One level; EEXIST when it is there. */
  mkdir(path: string): Promise<void>;
  /** All levels. Resolves to the first folder that had to be made, undefined when all were there. */
  mkdirAll(path: string): Promise<string | undefined>;
  /** An empty folder. */
  rmdir(path: string): Promise<void>;
  /** A file, or a folder with all that is in it. Once `stopped` says so, what is left stays. */
  removeTree(path: string, stopped?: () => boolean): Promise<void>;
  /** What lies at a path; links are followed. */
  kindOf(path: string): Promise<"absent" | "folder" | "other">;
  entries(path: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]>;
  realpath(path: string): Promise<string>;
}

export interface OpenFile {
  /** Resolves to the bytes written, which may be fewer than asked for. Views may lie over shared memory. */
  writev(views: readonly Uint8Array[], position: number): Promise<number>;
  /** Resolves to the bytes read, which may be fewer than asked for; 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  size(): Promise<number>;
  /** Names of the file; more than one where a snapshot holds it too (`cp -al`). */
  links(): Promise<number>;
  /** Cuts the file, or makes it longer with zeros. */
  truncate(bytes: number): Promise<void>;
  /** fdatasync: the data and the length. */
  datasync(): Promise<void>;
  /** fsync; for folders. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Undefined where the system has none of its kind. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;
const WRITING = O_NOFOLLOW | O_NONBLOCK;

const OPEN_FLAGS = {
  // O_EXCL: a new file, which is neither a link nor a pipe.
  wx: "wx",
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | WRITING,
  "r+": constants.O_RDWR | WRITING,
  // Without O_NONBLOCK, opening a pipe waits for somebody at its other end, in a thread that nothing can call back.
  r: constants.O_RDONLY | O_NONBLOCK,
} as const;

async function openRegular(path: string, flags: keyof typeof OPEN_FLAGS): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, OPEN_FLAGS[flags]);
  } catch (error) {
    if (flags !== "r" && errnoOf(error) === "ELOOP") throw notOurs(path, "a link");
    if (errnoOf(error) === "ENXIO") throw notOurs(path, "a socket, a pipe or a device");
    throw error;
  }
  if (flags === "wx") return handle;
  try {
    const found = await handle.stat();
    if (found.isFile() || (flags === "r" && found.isDirectory())) return handle;
    throw notOurs(path, kindInWords(found));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function kindInWords(found: Stats): string {
  return found.isFIFO() ? "a pipe" : "a device";
}

export const nodeFileSystem: FileSystem = {
  async open(path, flags) {
    const handle = await openRegular(path, flags);
    return {
      writev: async (views, position) => (await handle.writev(views, position)).bytesWritten,
      read: async (into, position) => (await handle.read(into, 0, into.byteLength, position)).bytesRead,
      size: async () => (await handle.stat()).size,
      links: async () => (await handle.stat()).nlink,
      truncate: (bytes) => handle.truncate(bytes),
      datasync: () => handle.datasync(),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  rename: (from, to) => rename(from, to),
  unlink: (path) => unlink(path),
  mkdir: async (path) => {
    await mkdir(path);
  },
  mkdirAll: makeFolders,
  rmdir: (path) => rmdir(path),
  removeTree,
  async kindOf(path) {
    try {
      return (await stat(path)).isDirectory() ? "folder" : "other";
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "absent";
      throw error;
    }
  },
  entries: async (path) =>
    (await readdir(path, { withFileTypes: true })).map((e) => ({ name: e.name, isFolder: e.isDirectory() })),
  realpath: (path) => realpath(path),
};
