import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MillraceError } from "../base/errors.js";
import { checkPath, type StoreEntry, type StoreReader } from "./store_reader.js";

/** ELOOP: a link to itself leads nowhere, as a dangling one does. */
const NOT_THERE = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP"]);

/**
 * A store in a folder. Symbolic links to files are read; links to folders are not listed, so that no loop of links can hold a listing up.
 * No handle is kept between calls: a shard may be replaced while its store is read.
 */
export class FileStore implements StoreReader {
  readonly location: string;

  constructor(folder: string) {
    this.location = resolve(folder);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#read(key, (size) => ({ offset: 0, length: size }));
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#read(key, (size) => ({ offset, length: Math.min(length, Math.max(0, size - offset)) }));
  }

  getSuffix(key: string, length: number): Promise<Uint8Array | undefined> {
    return this.#read(key, (size) => ({ offset: Math.max(0, size - length), length: Math.min(length, size) }));
  }

  size(key: string): Promise<number | undefined> {
    return this.#guarded(key, async (path) => {
      const stats = await stat(path);
      return stats.isFile() ? stats.size : undefined;
    });
  }

  async *list(prefix: string): AsyncIterable<StoreEntry> {
    const entries = await this.#guarded(prefix, async (path) => await readdir(path, { withFileTypes: true }));
    if (entries === undefined) return;
    entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    for (const entry of entries) {
      const key = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
      // A name that cannot be a key (a backslash in it) is still a file lying in the store; it is listed, never read.
      if (entry.isDirectory()) yield* this.list(key);
      else {
        const size = await this.#guarded(key, async (path) => (await stat(path)).size);
        if (size !== undefined) yield { key, size };
      }
    }
  }

  #read(
    key: string,
    range: (size: number) => { readonly offset: number; readonly length: number },
  ): Promise<Uint8Array | undefined> {
    checkPath(key);
    return this.#guarded(key, async (path) => {
      const handle = await open(path, "r");
      try {
        const stats = await handle.stat();
        if (!stats.isFile()) return undefined;
        const { offset, length } = range(stats.size);
        return await readFully(handle, offset, length);
      } finally {
        await handle.close();
      }
    });
  }

  async #guarded<T>(key: string, run: (path: string) => Promise<T>): Promise<T | undefined> {
    const path = join(this.location, key);
    try {
      return await run(path);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== undefined && NOT_THERE.has(code)) return undefined;
      const denied = code === "EACCES" || code === "EPERM";
      throw new MillraceError(
        denied ? "PERMISSION_DENIED" : "STORE_READ_FAILED",
        `could not read ${path}: ${message}.`,
        {
          context: { path, key, errno: code ?? "" },
          cause: error,
        },
      );
    }
  }
}

/** Reads until `length` bytes or the end of the file: one read call may bring less. */
async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, Math.min(length - at, 2 ** 30), offset + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at === length ? bytes : bytes.subarray(0, at);
}
