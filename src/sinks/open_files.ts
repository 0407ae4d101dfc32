import { assert } from "../base/assert.js";
import type { FileSystem, OpenFile } from "./file_system.js";
import { errnoOf } from "./os_error.js";

/**
 * Errors after which a new file may be there all the same, as over a network whose answer is lost. It is removed:
 * nobody would know whose it is. Not after others, where the file may be another writer's.
 */
const MAY_BE_DONE = ["EIO", "ETIMEDOUT"];

/**
 * A file that is written in several visits and need not stay open in between. Owned by its shard; the fields are the
 * cache's. Create with {@link pooledFile}.
 */
export interface PooledFile {
  readonly path: string;
  /**
   * Sync before a handle is closed early: the kernel reports a failed write-back to the handles that are open then, so
   * an error that strikes while the file is closed could be forgotten with the inode, and the sync at the seal succeed.
   */
  readonly syncOnEvict: boolean;
  handle: OpenFile | undefined;
  /** Was opened once: next time it must exist. */
  created: boolean;
  /** Settles when an eviction under way is over. */
  evicting: Promise<void> | undefined;
  /** An eviction failed: the file's content cannot be trusted. */
  failed: unknown;
}

export function pooledFile(path: string, syncOnEvict: boolean): PooledFile {
  return { path, syncOnEvict, handle: undefined, created: false, evicting: undefined, failed: undefined };
}

/**
 * Keeps at most `limit` handles open; the least recently used idle one is closed for the next. When the system itself
 * runs out of handles (EMFILE, ENFILE) the limit is halved for good, idle handles are closed, and the open is retried.
 * No deadlock: whoever holds a handle never waits for another, but for those that are kept, which nobody waits for.
 */
export class OpenFiles {
  #limit: number;
  /** Handles of pooled files that are open, opening or closing. */
  #pooled = 0;
  /** All handles really open, also those from {@link open}. */
  #held = 0;
  /** Of those, the ones from {@link openKept}. */
  #kept = 0;
  /** Open and not in use, least recently used first. */
  readonly #idle = new Set<PooledFile>();
  #waiting: (() => void)[] = [];

  constructor(
    private readonly fs: FileSystem,
    limit: number,
  ) {
    assert(Number.isSafeInteger(limit) && limit >= 1, "at least one file can be open", { limit });
    this.#limit = limit;
  }

  get heldCount(): number {
    return this.#held;
  }
  get limit(): number {
    return this.#limit;
  }

  /**
   * A handle outside the limit, for one short visit: a folder to sync, a small object. Rejects with the system's error.
   */
  async open(path: string, flags: "w" | "wx" | "r+" | "r"): Promise<OpenFile> {
    for (;;) {
      try {
        const handle = await this.fs.open(path, flags);
        this.#held++;
        return handle;
      } catch (error) {
        const errno = errnoOf(error);
        const outOfHandles = errno === "EMFILE" || errno === "ENFILE";
        // A kept handle is closed when its owner gets on, and that may be the one who waits here.
        if (!outOfHandles || this.#held === this.#kept) {
          // This call may have used up a wake-up that another one waits for.
          this.#wakeOne();
          if (flags === "wx" && MAY_BE_DONE.includes(errno ?? "")) await this.fs.unlink(path).catch(() => {});
          throw error;
        }
        this.#limit = Math.max(1, Math.min(this.#limit, this.#pooled) >> 1);
        if (this.#idle.size === 0) await this.#released();
        else {
          do await this.#evictOldest();
          while (this.#idle.size > this.#limit);
        }
      }
    }
  }

  /**
   * A handle that stays open while its owner opens others; {@link closeKept} ends it. Few: nothing can be made room for
   * by closing it.
   */
  async openKept(path: string, flags: "wx"): Promise<OpenFile> {
    const handle = await this.open(path, flags);
    this.#kept++;
    return handle;
  }

  /** As {@link close}. */
  async closeKept(handle: OpenFile): Promise<void> {
    try {
      await this.close(handle);
    } finally {
      this.#kept--;
    }
  }

  /**
   * Closes a handle from {@link open} or {@link take}. Rejects with the system's error; the handle is gone either way.
   */
  async close(handle: OpenFile): Promise<void> {
    try {
      await handle.close();
    } finally {
      this.#held--;
      this.#wakeOne();
    }
  }

  /** The open handle of a file, opened again where need be. {@link release} or {@link take} ends the visit. */
  async acquire(file: PooledFile): Promise<OpenFile> {
    if (file.evicting !== undefined) await file.evicting;
    if (file.failed !== undefined) throw file.failed;
    if (file.handle !== undefined) {
      const wasIdle = this.#idle.delete(file);
      assert(wasIdle, "a file is visited by one call at a time", { path: file.path });
      return file.handle;
    }
    while (this.#pooled >= this.#limit) {
      if (this.#idle.size > 0) await this.#evictOldest();
      else await this.#released();
    }
    this.#pooled++;
    try {
      file.handle = await this.open(file.path, file.created ? "r+" : "wx");
      file.created = true;
      return file.handle;
    } catch (error) {
      this.#pooled--;
      // Once more: whom `open` woke may have looked before the place was free.
      this.#wakeOne();
      throw error;
    }
  }

  /** The visit is over; the handle stays open until its place is needed. */
  release(file: PooledFile): void {
    if (file.handle !== undefined) this.#idle.add(file);
    this.#wakeOne();
  }

  /** Closes a visited or idle file for good. Rejects with the system's error. No-op when it is closed already. */
  async retire(file: PooledFile): Promise<void> {
    if (file.evicting !== undefined) await file.evicting;
    const handle = file.handle;
    if (handle === undefined) return;
    this.#idle.delete(file);
    file.handle = undefined;
    try {
      await this.close(handle);
    } finally {
      this.#pooled--;
      this.#wakeOne();
    }
  }

  async #evictOldest(): Promise<void> {
    const [file] = this.#idle;
    this.#idle.delete(file);
    file.evicting = this.#evict(file);
    await file.evicting;
    file.evicting = undefined;
  }

  /** Never rejects: the error belongs to the evicted file's shard, not to the one that needs the place. */
  async #evict(file: PooledFile): Promise<void> {
    const handle = file.handle!;
    file.handle = undefined;
    try {
      try {
        if (file.syncOnEvict) await handle.datasync();
      } finally {
        await this.close(handle);
      }
    } catch (error) {
      file.failed = error;
    } finally {
      this.#pooled--;
      this.#wakeOne();
    }
  }

  #released(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wakeOne(): void {
    this.#waiting.shift()?.();
  }
}
