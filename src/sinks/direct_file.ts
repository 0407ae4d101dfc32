import type { DirectFileHandle, NativeAddon } from "../native/addon.js";
import type { PartialFile } from "./file_shard.js";
import { errnoOf } from "./os_error.js";

/** The part of the addon that is used here. */
export type DirectAddon = Pick<NativeAddon, "directOpen" | "directAppend" | "directFinish" | "directAbandon">;

/**
 * Opens partial files that bypass the page cache (O_DIRECT). A handle stays open until its shard ends, because the
 * bytes behind the last whole page are held with it; so there are at most `maxOpen`, and what is beyond goes through
 * the cache.
 */
export class DirectFiles {
  #open = 0;
  #unsupported = false;

  constructor(
    private readonly addon: DirectAddon,
    private readonly maxOpen: number,
  ) {}

  get openCount(): number {
    return this.#open;
  }

  /**
   * A new file at `path`, or undefined where a buffered one has to do: no direct I/O on this file system, or too many
   * open. Throws the system's error (EEXIST, ENOSPC …).
   */
  create(path: string): PartialFile | undefined {
    if (this.#unsupported || this.#open >= this.maxOpen) return undefined;
    let handle: DirectFileHandle;
    try {
      handle = this.addon.directOpen(path);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "NATIVE_DIRECT_UNSUPPORTED") {
        this.#unsupported = true;
        return undefined;
      }
      // The cache of buffered handles can make room; this one cannot.
      if (code === "EMFILE" || code === "ENFILE") return undefined;
      throw error;
    }
    this.#open++;
    return new DirectFile(path, this.addon, handle, () => this.#open--);
  }
}

class DirectFile implements PartialFile {
  #broken = false;

  constructor(
    readonly path: string,
    private readonly addon: DirectAddon,
    private readonly handle: DirectFileHandle,
    private readonly closed: () => void,
  ) {}

  async append(segments: readonly Uint8Array[]): Promise<void> {
    try {
      await settled((done) => this.addon.directAppend(this.handle, segments, done));
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }

  async finish(durable: boolean): Promise<void> {
    try {
      await settled((done) => this.addon.directFinish(this.handle, durable, done));
    } catch (error) {
      this.#broken = true;
      throw error;
    }
    this.closed();
  }

  async discard(keep: boolean): Promise<void> {
    if (keep && !this.#broken) {
      // The tail of the last page is still in memory; recovery wants it.
      await settled((done) => this.addon.directFinish(this.handle, false, done)).catch(() => {});
    }
    // Harmless on a handle that is closed.
    this.addon.directAbandon(this.handle);
    this.closed();
  }
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))));
}
