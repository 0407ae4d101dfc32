import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat, unlink } from "node:fs/promises";

/**
 * The calls that the file sink makes, and no others. Tests wrap it to fail, hold or record any of them.
 * Every function rejects with the operating system's error (`code`, `syscall`).
 */
export interface FileSystem {
  /** "wx": new file, EEXIST when it is there. "w": new or cut to zero. "r+": existing, for writing. "r": a folder, to sync it. */
  open(path: string, flags: "wx" | "w" | "r+" | "r"): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** One level; EEXIST when it is there. */
  mkdir(path: string): Promise<void>;
  /** All levels. Resolves to the first folder that had to be made, undefined when all were there. */
  mkdirAll(path: string): Promise<string | undefined>;
  removeTree(path: string): Promise<void>;
  /** What lies at a path; links are followed. */
  kindOf(path: string): Promise<"absent" | "folder" | "other">;
  entries(path: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]>;
  realpath(path: string): Promise<string>;
  /** Bytes of a file; undefined when there is no file. */
  sizeOf(path: string): Promise<number | undefined>;
  /** `length` bytes from `offset`, fewer where the file ends before; undefined when there is no file. */
  read(path: string, offset: number, length: number): Promise<Uint8Array | undefined>;
}

export interface OpenFile {
  /** Resolves to the bytes written, which may be fewer than asked for. Views may lie over shared memory. */
  writev(views: readonly Uint8Array[], position: number): Promise<number>;
  /** fdatasync: the data and the length. */
  datasync(): Promise<void>;
  /** fsync; for folders. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export const nodeFileSystem: FileSystem = {
  async open(path, flags) {
    const handle = await open(path, flags);
    return {
      writev: async (views, position) => (await handle.writev(views, position)).bytesWritten,
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
  mkdirAll: (path) => mkdir(path, { recursive: true }),
  removeTree: (path) => rm(path, { recursive: true, force: true }),
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
  async sizeOf(path) {
    try {
      const stats = await stat(path);
      return stats.isFile() ? stats.size : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  },
  async read(path, offset, length) {
    let handle: FileHandle;
    try {
      handle = await open(path, "r");
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
    try {
      const { size } = await handle.stat();
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let at = 0;
      // One call may bring less than asked for.
      while (at < bytes.byteLength) {
        const { bytesRead } = await handle.read(bytes, at, bytes.byteLength - at, offset + at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return bytes.subarray(0, at);
    } finally {
      await handle.close();
    }
  },
};

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}
