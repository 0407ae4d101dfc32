import { constants } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isMillraceError, MillraceError } from "../base/errors.js";
import { checkPath, type StoreEntry, type StoreReader } from "./store_reader.js";

/** ELOOP: a link to itself leads nowhere, as a dangling one does. */
const NOT_THERE = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP"]);

/** Opening a pipe that lies in the folder must not wait for a writer; for a file it makes no difference. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * A store in a folder. Symbolic links to files are read; links to folders are not listed, so that no loop of links can
 * hold a listing up. No handle is kept between calls: a shard may be replaced while its store is read.
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

  size(key: string): Promise<number | undefined> {
    return this.#guarded(key, async (path) => {
      const stats = await stat(path);
      return stats.isFile() ? stats.size : undefined;
    });
  }

  /**
   * A folder that cannot be listed does not hide the others: they are listed first, and then the first failure is
   * thrown.
   */
  async *list(prefix: string): AsyncIterable<StoreEntry> {
    const failures: MillraceError[] = [];
    yield* this.#list(prefix, failures);
    if (failures.length === 0) return;
    if (failures.length === 1) throw failures[0];
    const { code, message, context } = failures[0];
    throw new MillraceError(code, `${message.replace(/\.$/, "")} (and ${failures.length - 1} more).`, {
      context: { ...context, failures: failures.length },
      cause: failures[0],
    });
  }

  async *#list(prefix: string, failures: MillraceError[]): AsyncIterable<StoreEntry> {
    const entries = await this.#noting(failures, prefix, async (path) => await readdir(path, { withFileTypes: true }));
    if (entries === undefined) return;
    entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    for (const entry of entries) {
      const key = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
      // A name that cannot be a key (a backslash in it) is still a file lying in the store; it is listed, never read.
      if (entry.isDirectory()) yield* this.#list(key, failures);
      else {
        const size = await this.#noting(failures, key, async (path) => (await stat(path)).size);
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
      const handle = await open(path, READ_FLAGS);
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

  async #noting<T>(failures: MillraceError[], key: string, run: (path: string) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#guarded(key, run);
    } catch (error) {
      if (!isMillraceError(error)) throw error;
      failures.push(error);
      return undefined;
    }
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
