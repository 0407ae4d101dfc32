import type { PartialFile } from "./file_shard.js";
import { type OpenFiles, type PooledFile, pooledFile } from "./open_files.js";
import { writeAll } from "./write_all.js";

/** A partial file written through the page cache; its handle lives in the cache of open files between calls. */
export class BufferedFile implements PartialFile {
  readonly #file: PooledFile;

  constructor(
    readonly path: string,
    private readonly files: OpenFiles,
    syncOnEvict: boolean,
  ) {
    this.#file = pooledFile(path, syncOnEvict);
  }

  async create(): Promise<void> {
    await this.files.acquire(this.#file);
    this.files.release(this.#file);
  }

  async append(segments: readonly Uint8Array[], position: number): Promise<void> {
    const handle = await this.files.acquire(this.#file);
    try {
      await writeAll(handle, segments, position);
    } finally {
      this.files.release(this.#file);
    }
  }

  async sync(): Promise<void> {
    const handle = await this.files.acquire(this.#file);
    try {
      await handle.datasync();
    } finally {
      this.files.release(this.#file);
    }
  }

  async finish(durable: boolean): Promise<void> {
    const handle = await this.files.acquire(this.#file);
    try {
      if (durable) await handle.datasync();
    } catch (error) {
      await this.files.retire(this.#file).catch(() => {});
      throw error;
    }
    // Some network file systems report a failed write only when the file is closed.
    await this.files.retire(this.#file);
  }

  async discard(): Promise<void> {
    await this.files.retire(this.#file).catch(() => {});
  }
}
