import { join } from "node:path";
import { MillraceError } from "../base/errors.js";
import { JOURNAL_FOLDER } from "../journal/writer_marker.js";
import type { FileSystem, OpenFile } from "../sinks/file_system.js";
import { TEMPORARY_SUFFIX } from "../sinks/object_key.js";
import { errnoOf, guarded, hintOf } from "../sinks/os_error.js";
import { OwnFolders, openFresh } from "../sinks/own_folders.js";
import { writeAll } from "../sinks/write_all.js";
import { ancestors } from "../store/walk.js";

/** More than any zarr.json, marker or journal of a row that Millrace writes. */
const WHOLE_BYTES_MAX = 2 ** 31 - 1;
/** One read call. */
const READ_BYTES_MAX = 2 ** 26;
/** A shard that is copied because a snapshot holds its file; it lies there after a recovery that was interrupted. */
export const SHARD_COPY_KEY = `${JOURNAL_FOLDER}/shard${TEMPORARY_SUFFIX}`;
/** Memory for bytes that are written again. */
const REWRITE_BYTES = 2 ** 22;

/**
 * The files of a store for recovery, by key. What is not there reads as undefined; any other failure to read throws, so
 * that a disk that does not answer is never taken for data that are not there. Errors as the file sink's,
 * STORE_READ_FAILED for reading. Folders that are links to other places are neither looked into nor changed
 * (STORE_FOREIGN).
 */
export class RecoveryFiles {
  readonly #own: OwnFolders;

  constructor(
    private readonly fs: FileSystem,
    /** Absolute path of the store's folder. */
    readonly root: string,
  ) {
    this.#own = new OwnFolders(fs, root);
  }

  kindOf(key: string): Promise<"absent" | "folder" | "other"> {
    return reading(this.#path(key), () => this.fs.kindOf(this.#path(key)));
  }

  /** Nothing for a folder that is not there. */
  async entries(key: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]> {
    if ((await this.kindOf(key)) !== "folder") return [];
    return await reading(this.#path(key), async () => {
      await this.#own.check(this.#path(key));
      return await this.fs.entries(this.#path(key));
    });
  }

  /** A whole small file. */
  async read(key: string): Promise<Uint8Array | undefined> {
    return await this.visit(key, async (file) => {
      const size = await file.size();
      if (size > WHOLE_BYTES_MAX) {
        throw new MillraceError("STORE_CORRUPT", `${this.#path(key)} has ${size} bytes, which none of its kind has.`, {
          context: { key, bytes: size, limit: WHOLE_BYTES_MAX },
        });
      }
      const bytes = new Uint8Array(size);
      return bytes.subarray(0, await readFully(file, bytes, 0));
    });
  }

  /** Runs `look` on a file, or returns undefined where there is none. */
  async visit<T>(key: string, look: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    const path = this.#path(key);
    return await reading(path, async () => {
      await this.#own.checkAbove(path);
      let file: OpenFile;
      try {
        file = await this.fs.open(path, "r");
      } catch (error) {
        if (errnoOf(error) === "ENOENT") return undefined;
        throw error;
      }
      try {
        return await look(file);
      } finally {
        await file.close();
      }
    });
  }

  /**
   * Cuts a file to `length` bytes and writes `tail` behind them; both are on the medium afterwards. What is kept is
   * written once more: after a sync that failed, the system takes bytes that are in its memory only for written, and a
   * later sync would not bring them to the medium. A file that has other names, in a snapshot of links, is left to
   * those: its copy takes this name.
   */
  async finish(key: string, length: number, tail: Uint8Array): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "write the index of shard", path, key }, async () => {
      await this.#own.checkAbove(path);
      const file = await this.fs.open(path, "r+");
      try {
        if ((await file.links()) > 1) {
          await this.#finishCopy(file, path, length, tail);
          return;
        }
        await file.truncate(length);
        await copyBytes(file, file, length);
        await writeAll(file, [tail], length);
        await file.datasync();
      } finally {
        await file.close();
      }
    });
  }

  async #finishCopy(from: OpenFile, path: string, length: number, tail: Uint8Array): Promise<void> {
    const temporary = this.#path(SHARD_COPY_KEY);
    await this.#own.checkAbove(temporary);
    const copy = await openFresh(temporary, this.fs);
    try {
      await copyBytes(from, copy, length);
      await writeAll(copy, [tail], length);
      await copy.datasync();
    } finally {
      await copy.close();
    }
    await this.fs.rename(temporary, path);
  }

  /**
   * Cuts a file to `length` bytes, where it has more and no other name, in whose place it would take as much room; not
   * yet on the medium afterwards.
   */
  async cut(key: string, length: number): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "cut", path, key }, async () => {
      await this.#own.checkAbove(path);
      const file = await this.fs.open(path, "r+");
      try {
        if ((await file.size()) > length && (await file.links()) === 1) await file.truncate(length);
      } finally {
        await file.close();
      }
    });
  }

  /** Replaces a small object; it is on the medium afterwards. */
  async put(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(key);
    const temporary = path + TEMPORARY_SUFFIX;
    await guarded({ what: "write object", path, key, bytes: bytes.byteLength }, async () => {
      await this.#own.checkAbove(path);
      const file = await openFresh(temporary, this.fs);
      try {
        await writeAll(file, [bytes], 0);
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.fs.rename(temporary, path);
    });
    await this.syncFolder(ancestors(key)[0]);
  }

  /** A file is on the medium as it is, under whatever name. */
  async sync(key: string): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "sync", path, key }, async () => {
      await this.#own.checkAbove(path);
      const file = await this.fs.open(path, "r+");
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
    });
  }

  async rename(from: string, to: string): Promise<void> {
    const path = this.#path(from);
    await guarded({ what: `rename to ${to}`, path, key: from }, async () => {
      await this.#own.checkAbove(path);
      await this.#own.checkAbove(this.#path(to));
      await this.fs.rename(path, this.#path(to));
    });
  }

  /** A file that is gone already is no error: an earlier recovery may have been interrupted. */
  async remove(key: string): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "remove", path, key }, async () => {
      await this.#own.checkAbove(path);
      try {
        await this.fs.unlink(path);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error;
      }
    });
  }

  /** A folder that still holds something stays. */
  async removeFolder(key: string): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "remove folder", path, key }, async () => {
      await this.#own.check(path);
      try {
        await this.fs.rmdir(path);
      } catch (error) {
        if (!["ENOENT", "ENOTEMPTY"].includes(errnoOf(error) ?? "")) throw error;
      }
    });
  }

  /** Names that were put into a folder, or taken out of it, are on the medium afterwards. */
  async syncFolder(key: string): Promise<void> {
    const path = this.#path(key);
    await guarded({ what: "sync folder", path }, async () => {
      const folder = await this.fs.open(path, "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    });
  }

  #path(key: string): string {
    return key === "" ? this.root : join(this.root, key);
  }
}

/** From and to the same places, of one file or two. */
async function copyBytes(from: OpenFile, to: OpenFile, length: number): Promise<void> {
  const buffer = new Uint8Array(Math.min(length, REWRITE_BYTES));
  for (let at = 0; at < length; ) {
    const read = await readFully(from, buffer.subarray(0, length - at), at);
    if (read === 0) throw Object.assign(new Error("the file became shorter"), { code: "EIO", syscall: "read" });
    await writeAll(to, [buffer.subarray(0, read)], at);
    at += read;
  }
}

/** Reads until `into` is full or the file ends. @returns the bytes read */
export async function readFully(file: OpenFile, into: Uint8Array, position: number): Promise<number> {
  let at = 0;
  while (at < into.byteLength) {
    const read = await file.read(into.subarray(at, at + READ_BYTES_MAX), position + at);
    if (read === 0) break;
    at += read;
  }
  return at;
}

async function reading<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    const errno = errnoOf(error) ?? "";
    const code = errno === "EACCES" || errno === "EPERM" ? "PERMISSION_DENIED" : "STORE_READ_FAILED";
    const message = error instanceof Error ? error.message : String(error);
    const text = `could not read ${path}: ${message}.`;
    throw new MillraceError(code, text, { context: { path, errno }, hint: hintOf(errno), cause: error });
  }
}
