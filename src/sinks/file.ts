import { dirname, join } from "node:path";
import { assert } from "../base/assert.js";
import { OPEN_SHARD_FILES_MAX } from "../base/limits.js";
import type { OpenMode, ShardExpectation, ShardHandle, Sink, SinkJournal, StoredObjects } from "../handoff/sink.js";
import { decodeMarker, MARKER_KEY, type WriterMarker } from "../journal/writer_marker.js";
import { BufferedFile } from "./buffered_file.js";
import type { DirectFiles } from "./direct_file.js";
import { FileJournal } from "./file_journal.js";
import { FileShard, type PartialFile, type ShardHome } from "./file_shard.js";
import { type FileSystem, nodeFileSystem, type OpenFile } from "./file_system.js";
import { Folders } from "./folders.js";
import { checkKey, PARTIAL_SUFFIX, TEMPORARY_SUFFIX } from "./object_key.js";
import { OpenFiles } from "./open_files.js";
import { errnoOf, guarded } from "./os_error.js";
import { openFresh } from "./own_folders.js";
import { refuseAtWork } from "./refuse_at_work.js";
import { refuseExisting, removeStore, requireStore } from "./store_root.js";
import { writeAll } from "./write_all.js";

/** A longer one is none of ours. */
const MARKER_BYTES_MAX = 65536;

export interface FileSinkSettings {
  /** Absolute path of the store's folder. */
  readonly root: string;
  /** Shard files open at once. Default OPEN_SHARD_FILES_MAX. */
  readonly maxOpenFiles?: number;
  /** Writes past the page cache where the file system can; undefined: through it. */
  readonly direct?: DirectFiles;
  /** Direct I/O was asked for, not only allowed: the user is told where it cannot be. */
  readonly directAsked?: boolean;
  /** Overwrites also a folder that holds more than a store. Default false. */
  readonly force?: boolean;
  /** The addon's, where it is there. */
  readonly crc32c?: (bytes: Uint8Array) => number;
  /** For tests. */
  readonly fs?: FileSystem;
}

/**
 * Shards and objects as files of a local file system.
 *
 *     key.partial ── data … ── index ── fdatasync ── close ── rename ──> key ── fsync of the folder
 *
 * A reader meets a shard whole or not at all, and after an error never. I/O runs in libuv's pool, so the thread is
 * free.
 */
export class FileSink implements Sink, ShardHome {
  readonly kind = "file";
  readonly location: string;
  readonly #fs: FileSystem;
  readonly #files: OpenFiles;
  readonly #folders: Folders;
  readonly #direct: DirectFiles | undefined;
  readonly #journal: FileJournal;
  /** By key; undefined while one is being opened, so that a second openShard of its key meets it. */
  readonly #shards = new Map<string, FileShard | undefined>();
  /** The last putObject of each key under way: two of one key must not share a temporary file. */
  readonly #puts = new Map<string, Promise<void>>();
  #closing: Promise<void> | undefined;
  #hurried = false;
  readonly #force: boolean;

  constructor(settings: FileSinkSettings) {
    const limit = settings.maxOpenFiles ?? OPEN_SHARD_FILES_MAX;
    this.location = settings.root;
    this.#fs = settings.fs ?? nodeFileSystem;
    this.#files = new OpenFiles(this.#fs, limit);
    this.#folders = new Folders(this.#fs, this.#files, this.location);
    this.#direct = settings.direct;
    this.#force = settings.force ?? false;
    this.#journal = new FileJournal({
      root: this.location,
      fs: this.#fs,
      files: this.#files,
      folders: this.#folders,
      crc32c: settings.crc32c,
      directAsked: settings.directAsked ?? false,
    });
  }

  get journal(): SinkJournal {
    return this.#journal;
  }

  /** Handles open right now; 0 after close. For tests and metrics. */
  get openHandleCount(): number {
    return this.#files.heldCount;
  }

  async open(mode: OpenMode): Promise<void> {
    if (mode === "resume") {
      await requireStore(this.#fs, this.location);
      return;
    }
    if (mode === "create") await refuseExisting(this.#fs, this.location);
    else {
      const otherwise =
        "If it is not a writer of this store, recover the store with force first, or delete the folder.";
      await refuseAtWork(this.location, await this.#marker(), otherwise);
      await removeStore(this.#fs, this.location, () => this.#hurried, this.#force);
    }
    await this.#folders.makeRoot();
  }

  async #marker(): Promise<WriterMarker | undefined> {
    const bytes = await this.stored.getRange(MARKER_KEY, 0, MARKER_BYTES_MAX);
    return bytes && decodeMarker(bytes);
  }

  readonly stored: StoredObjects = {
    size: (key) => this.#look(key, (file) => file.size()),
    getRange: (key, offset, length) =>
      this.#look(key, async (file) => {
        const bytes = new Uint8Array(Math.max(0, Math.min(length, (await file.size()) - offset)));
        let at = 0;
        while (at < bytes.byteLength) {
          const read = await file.read(bytes.subarray(at), offset + at);
          if (read === 0) break;
          at += read;
        }
        return bytes.subarray(0, at);
      }),
  };

  /** Undefined where there is no file. */
  #look<T>(key: string, run: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    checkKey(key);
    const path = join(this.location, key);
    return guarded({ what: "read", path, key }, async () => {
      let file: OpenFile;
      try {
        file = await this.#files.open(path, "r");
      } catch (error) {
        if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
        throw error;
      }
      try {
        return await run(file);
      } finally {
        await this.#files.close(file);
      }
    });
  }

  async openShard(key: string, expected: ShardExpectation): Promise<ShardHandle> {
    checkKey(key);
    assert(this.#closing === undefined, "the sink is open", { key });
    assert(!this.#shards.has(key), "a shard is opened once at a time", { key });
    const path = join(this.location, key) + PARTIAL_SUFFIX;
    this.#shards.set(key, undefined);
    try {
      await this.#folders.make(dirname(path));
      const partial = await guarded({ what: "create shard", path, key }, () => this.#create(path, expected));
      const shard = new FileShard(key, partial, this, expected.durable ?? true);
      this.#shards.set(key, shard);
      return shard;
    } catch (error) {
      this.#shards.delete(key);
      throw error;
    }
  }

  /** Makes the empty file at once, so that a second writer on the same store fails here and not at its first seal. */
  async #create(path: string, expected: ShardExpectation): Promise<PartialFile> {
    // Past the page cache the bytes behind the last page are held back, so that file cannot be synced between writes.
    const direct = expected.synced ? undefined : this.#direct?.create(path);
    if (direct !== undefined) return direct;
    const buffered = new BufferedFile(path, this.#files, expected.durable ?? true);
    await buffered.create();
    return buffered;
  }

  async publish(key: string, partialPath: string, durable: boolean): Promise<void> {
    const path = join(this.location, key);
    await guarded({ what: "rename to its final name", path, key }, () => this.#fs.rename(partialPath, path));
    if (durable) await this.#folders.syncPath(dirname(path));
  }

  keepName(partialPath: string): Promise<void> {
    return this.#folders.syncPath(dirname(partialPath));
  }

  async remove(path: string, durable: boolean): Promise<void> {
    await this.#fs.unlink(path);
    // The marker may go next: without it nobody would remove the file that a power cut has brought back, and no writer
    // can begin that shard.
    if (durable) await this.#folders.syncPath(dirname(path));
  }

  ended(key: string): void {
    this.#shards.delete(key);
  }

  async putObject(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    checkKey(key);
    assert(this.#closing === undefined, "the sink is open", { key });
    const before = this.#puts.get(key);
    const put = (async () => {
      await before?.catch(() => {});
      await this.#put(key, bytes, durable);
    })();
    this.#puts.set(key, put);
    try {
      await put;
    } finally {
      if (this.#puts.get(key) === put) this.#puts.delete(key);
    }
  }

  async #put(key: string, bytes: Uint8Array, durable: boolean): Promise<void> {
    const path = join(this.location, key);
    const temporary = path + TEMPORARY_SUFFIX;
    await this.#folders.make(dirname(path));
    await guarded({ what: "write object", path, key, bytes: bytes.byteLength }, async () => {
      try {
        const handle = await openFresh(temporary, {
          open: (path, flags) => this.#files.open(path, flags),
          unlink: (path) => this.#fs.unlink(path),
        });
        try {
          await writeAll(handle, [bytes], 0);
          if (durable) await handle.datasync();
        } finally {
          await this.#files.close(handle);
        }
        await this.#fs.rename(temporary, path);
      } catch (error) {
        // Also where it could not be opened: over a network it may be there all the same.
        await this.#fs.unlink(temporary).catch(() => {});
        throw error;
      }
    });
    if (durable) await this.#folders.syncPath(dirname(path));
  }

  /**
   * Nothing here waits for somebody far away; but an old store may have files without number, and each is removed by
   * itself.
   */
  readonly hurry = (): void => {
    this.#hurried = true;
  };

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#puts.values());
    const left = [...this.#shards.keys()];
    for (const shard of [...this.#shards.values()]) await shard?.abandon(true);
    await this.#journal.end();
    assert(left.length === 0, "every shard is sealed or abandoned before the sink closes", { keys: left });
  }
}
