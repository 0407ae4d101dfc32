import { join } from "node:path";
import { assert } from "../base/assert.js";
import { wallIso } from "../base/clock.js";
import { MillraceError } from "../base/errors.js";
import type { JournalFile, SinkJournal } from "../handoff/sink.js";
import {
  encodeMarker,
  JOURNAL_FOLDER,
  MARKER_KEY,
  parseJournalName,
  type WriterMarker,
} from "../journal/writer_marker.js";
import { thisProcess } from "../journal/writer_process.js";
import type { FileSystem, OpenFile } from "./file_system.js";
import type { Folders } from "./folders.js";
import { checkKey } from "./object_key.js";
import type { OpenFiles } from "./open_files.js";
import { errnoOf, guarded } from "./os_error.js";
import { writeAll } from "./write_all.js";

interface FileJournalSettings {
  /** Absolute path of the store's folder. */
  readonly root: string;
  readonly fs: FileSystem;
  readonly files: OpenFiles;
  readonly folders: Folders;
  readonly crc32c: ((bytes: Uint8Array) => number) | undefined;
  /** Writing past the page cache was asked for, not only allowed. */
  readonly directAsked: boolean;
}

const NOT_DIRECT =
  'directIo: true has no effect with durability "batch": past the page cache, the bytes behind the last whole ' +
  "page could not be synced.";

/** The folder `.millrace` of a store: the marker of its writer, and the journals. */
export class FileJournal implements SinkJournal {
  readonly crc32c: SinkJournal["crc32c"];
  readonly batchWarning: SinkJournal["batchWarning"];
  readonly #fs: FileSystem;
  readonly #files: OpenFiles;
  readonly #folders: Folders;
  readonly #root: string;
  readonly #folder: string;
  readonly #markerPath: string;
  #marker: WriterMarker | undefined;
  readonly #logs = new Set<JournalLog>();

  constructor({ root, fs, files, folders, crc32c, directAsked }: FileJournalSettings) {
    this.crc32c = crc32c;
    if (directAsked) this.batchWarning = NOT_DIRECT;
    this.#fs = fs;
    this.#files = files;
    this.#folders = folders;
    this.#root = root;
    this.#folder = join(root, JOURNAL_FOLDER);
    this.#markerPath = join(root, MARKER_KEY);
  }

  async begin(writeId: string, durable: boolean): Promise<void> {
    assert(this.#marker === undefined, "a store is begun once");
    const marker = { writeId, started: wallIso(), writer: await thisProcess() };
    await this.#folders.make(this.#folder);
    await guarded({ what: "write the marker", path: this.#markerPath }, async () => {
      const handle = await this.#create();
      try {
        await this.#write(handle, encodeMarker(marker), durable);
      } catch (error) {
        await this.#fs.unlink(this.#markerPath).catch(() => {});
        throw error;
      }
    });
    this.#marker = marker;
    if (durable) await this.#folders.syncPath(this.#folder);
  }

  /** Exclusive: of two writers that begin at the same time, one does. */
  async #create(): Promise<OpenFile> {
    try {
      return await this.#files.open(this.#markerPath, "wx");
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw error;
      throw new MillraceError("STORE_IN_USE", `another writer has begun with ${this.#root} at the same time.`, {
        context: { path: this.#root },
        hint: "End it, or choose another path.",
      });
    }
  }

  async open(name: string): Promise<JournalFile> {
    assert(this.#marker !== undefined, "the store is begun", { name });
    const path = this.#pathOf(name);
    const handle = await guarded({ what: "create journal", path }, () => this.#files.openKept(path, "wx"));
    const log = new JournalLog(path, handle, {
      close: () => this.#files.closeKept(handle),
      syncName: () => this.#folders.syncPath(this.#folder),
      ended: () => this.#logs.delete(log),
    });
    this.#logs.add(log);
    return log;
  }

  async remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    await guarded({ what: "remove journal", path }, () => this.#unlink(path));
  }

  async clear(durable: boolean): Promise<void> {
    if (this.#marker === undefined) return;
    await this.#closeLogs();
    await guarded({ what: "remove the journals in", path: this.#folder }, async () => {
      for (const { name, isFolder } of await this.#fs.entries(this.#folder)) {
        // What else lies here is somebody's, whatever brought it here.
        if (parseJournalName(name) !== undefined && !isFolder) await this.#unlink(join(this.#folder, name));
      }
    });
    // Or a power cut could bring journals back without the marker that tells what they are.
    if (durable) await this.#folders.syncPath(this.#folder);
    await guarded({ what: "remove the marker", path: this.#markerPath }, () => this.#unlink(this.#markerPath));
    this.#marker = undefined;
    await guarded({ what: "remove folder", path: this.#folder }, async () => {
      try {
        await this.#fs.rmdir(this.#folder);
      } catch (error) {
        // Somebody else's things lie in it.
        if (errnoOf(error) !== "ENOTEMPTY") throw error;
      }
    });
  }

  /**
   * The writer has ended. Where it did not clear, the marker says so from now on: its process may live on. Idempotent.
   */
  async end(): Promise<void> {
    await this.#closeLogs();
    const marker = this.#marker;
    if (marker === undefined) return;
    this.#marker = undefined;
    const before = encodeMarker(marker);
    const bytes = encodeMarker({ ...marker, writer: marker.writer && { ...marker.writer, ended: true } });
    assert(bytes.byteLength === before.byteLength, "a marker is written over in place");
    await guarded({ what: "write the marker", path: this.#markerPath }, async () => {
      await this.#write(await this.#files.open(this.#markerPath, "r+"), bytes, false);
    });
  }

  async #write(handle: OpenFile, bytes: Uint8Array, durable: boolean): Promise<void> {
    try {
      await writeAll(handle, [bytes], 0);
      if (durable) await handle.datasync();
    } finally {
      await this.#files.close(handle);
    }
  }

  async #closeLogs(): Promise<void> {
    for (const log of [...this.#logs]) await log.close();
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.#fs.unlink(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }

  #pathOf(name: string): string {
    checkKey(name);
    return join(this.#folder, name);
  }
}

interface LogHome {
  close(): Promise<void>;
  syncName(): Promise<void>;
  ended(): void;
}

/** One file that frames are appended to. Its first error sticks: behind a torn frame nothing would be read. */
class JournalLog implements JournalFile {
  #bytes = 0;
  #named: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #error: unknown;
  #closed: Promise<void> | undefined;

  constructor(
    private readonly path: string,
    private readonly handle: OpenFile,
    private readonly home: LogHome,
  ) {}

  append(bytes: Uint8Array, durable: boolean): Promise<void> {
    assert(this.#running === undefined, "appends to one journal do not overlap", { path: this.path });
    assert(this.#closed === undefined, "the journal is open", { path: this.path });
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#running = this.#append(bytes, durable).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#running?.catch(() => {});
      this.home.ended();
      await guarded({ what: "close journal", path: this.path }, () => this.home.close());
    })();
    return this.#closed;
  }

  async #append(bytes: Uint8Array, durable: boolean): Promise<void> {
    const operation = { path: this.path, bytes: bytes.byteLength, position: this.#bytes };
    try {
      await guarded({ what: "append to journal", ...operation }, () => writeAll(this.handle, [bytes], this.#bytes));
      this.#bytes += bytes.byteLength;
      if (!durable) return;
      await guarded({ what: "sync journal", ...operation }, () => this.handle.datasync());
      this.#named ??= this.home.syncName();
      await this.#named;
    } catch (error) {
      this.#error = error;
      throw error;
    }
  }
}
