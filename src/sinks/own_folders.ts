import { dirname, join, relative } from "node:path";
import type { FileSystem, OpenFile } from "./file_system.js";
import { notOurs } from "./not_ours.js";
import { errnoOf } from "./os_error.js";

/** Folders remembered as looked at. A stream without end has folders without end; forgetting costs one call each. */
const REMEMBERED_MAX = 1024;

/**
 * Tells folders of a store from links to folders elsewhere, at every level between the root and the folder. The root
 * itself may be reached through links: that is the user's choice of a place.
 */
export class OwnFolders {
  readonly #own = new Set<string>();
  #realRoot: string | undefined;

  constructor(
    private readonly fs: FileSystem,
    private readonly root: string,
  ) {}

  /**
   * Returns where the folder is the store's own, or is not there. Rejects with the system's error.
   * @throws MillraceError STORE_FOREIGN where a link lies on the way from the root
   */
  async check(folder: string): Promise<void> {
    if (folder === this.root || this.#own.has(folder)) return;
    let real: string;
    try {
      this.#realRoot ??= await this.fs.realpath(this.root);
      real = await this.fs.realpath(folder);
    } catch (error) {
      const errno = errnoOf(error);
      // A file where a folder belongs is met by the call that follows.
      if (errno === "ENOENT" || errno === "ENOTDIR") return;
      throw error;
    }
    if (real !== join(this.#realRoot, relative(this.root, folder))) throw notOurs(folder, "a link");
    if (this.#own.size >= REMEMBERED_MAX) this.#own.clear();
    this.#own.add(folder);
  }

  /** The same for the folder that a file lies in. */
  checkAbove(path: string): Promise<void> {
    return path === this.root ? Promise.resolve() : this.check(dirname(path));
  }
}

/**
 * Opens a file that nobody else has: what lies at its name is removed first, and never written to or followed. For
 * names that are ours alone; rejects with the system's error.
 */
export async function openFresh(path: string, fs: Pick<FileSystem, "open" | "unlink">): Promise<OpenFile> {
  try {
    return await fs.open(path, "wx");
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  try {
    await fs.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  return await fs.open(path, "wx");
}
