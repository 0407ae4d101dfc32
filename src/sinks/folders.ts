import { dirname } from "node:path";
import { assert } from "../base/assert.js";
import type { FileSystem } from "./file_system.js";
import type { OpenFiles } from "./open_files.js";
import { errnoOf, guarded } from "./os_error.js";
import { OwnFolders } from "./own_folders.js";

/**
 * Folders remembered as made. A stream without end makes folders without end; forgetting one costs a mkdir and a sync.
 */
const REMEMBERED_MAX = 1024;

interface Folder {
  readonly made: Promise<void>;
  /** Settles when the folder's own name in its parent is on stable storage. */
  named: Promise<void> | undefined;
  /** It is there, so that a sync of its parent that begins now keeps its name. */
  isMade: boolean;
}

interface RunningSync {
  readonly running: Promise<void>;
  /** Starts after `running`; everyone who asks meanwhile shares it. */
  next: Promise<void> | undefined;
}

/** Makes the folders of a store and syncs them, each only as often as needed. */
export class Folders {
  /** Insertion order is age. */
  readonly #known = new Map<string, Folder>();
  readonly #syncs = new Map<string, RunningSync>();
  /** A failed fsync is final: a second one may succeed without the first one's data being on the disk. */
  #syncFailure: unknown;
  /** Above this folder nothing was made by us. */
  #top: string;
  readonly #own: OwnFolders;

  constructor(
    private readonly fs: FileSystem,
    private readonly files: OpenFiles,
    private readonly root: string,
  ) {
    this.#top = root;
    this.#own = new OwnFolders(fs, root);
  }

  /** Makes the root and what is missing above it. */
  async makeRoot(): Promise<void> {
    const hints = { ENOENT: "No folder can be made on this file system: choose another place." };
    const first = await guarded({ what: "make folder", path: this.root, hints }, () => this.fs.mkdirAll(this.root));
    if (first !== undefined) this.#top = dirname(first);
  }

  /**
   * Makes a folder below the root, with its parents. Repeated calls cost a map look-up.
   * @throws MillraceError STORE_FOREIGN where a link to a folder lies in its place
   */
  make(folder: string): Promise<void> {
    if (folder === this.root) return Promise.resolve();
    const known = this.#known.get(folder);
    if (known !== undefined) return known.made;
    const made = this.#make(folder);
    const entry: Folder = { made, named: undefined, isMade: false };
    this.#known.set(folder, entry);
    made.then(
      () => {
        entry.isMade = true;
      },
      () => this.#known.delete(folder),
    );
    if (this.#known.size > REMEMBERED_MAX) {
      const [oldest] = this.#known.keys();
      this.#known.delete(oldest);
    }
    return made;
  }

  async #make(folder: string): Promise<void> {
    assert(folder.startsWith(this.root), "folders lie below the root", { folder, root: this.root });
    await this.make(dirname(folder));
    await guarded({ what: "make folder", path: folder }, async () => {
      try {
        await this.fs.mkdir(folder);
      } catch (error) {
        if (errnoOf(error) !== "EEXIST") throw error;
        if ((await this.fs.kindOf(folder)) !== "folder") throw Object.assign(error as Error, { code: "ENOTDIR" });
        await this.#own.check(folder);
      }
    });
  }

  /**
   * Makes the names in `folder`, and its own path, survive a power cut: everything renamed into it before this call.
   * Calls that arrive while a sync of the same folder runs share one more sync.
   */
  async syncPath(folder: string): Promise<void> {
    await this.#sync(folder);
    for (let child = folder; child !== this.root; child = dirname(child)) await this.#syncName(child);
    // The root's own chain of names, once per sink: remembered under the root's path.
    if (this.#top !== this.root) await this.#syncRootChain();
  }

  #syncName(folder: string): Promise<void> {
    const known = this.#known.get(folder);
    if (known === undefined) return this.#sync(dirname(folder));
    known.named ??= this.#sync(dirname(folder));
    return known.named;
  }

  #rootNamed: Promise<void> | undefined;

  #syncRootChain(): Promise<void> {
    this.#rootNamed ??= (async () => {
      for (let child = this.root; child !== this.#top; child = dirname(child)) await this.#sync(dirname(child));
    })();
    return this.#rootNamed;
  }

  #sync(folder: string): Promise<void> {
    const active = this.#syncs.get(folder);
    if (active === undefined) return this.#startSync(folder);
    active.next ??= active.running.then(() => this.#startSync(folder));
    return active.next;
  }

  #startSync(folder: string): Promise<void> {
    const entry: RunningSync = { running: this.#fsync(folder), next: undefined };
    // Shards side by side ask for their folders' names at the same time: one sync of the parent does for all.
    for (const [path, child] of this.#known) {
      if (child.isMade && dirname(path) === folder) child.named ??= entry.running;
    }
    this.#syncs.set(folder, entry);
    const forget = () => {
      if (entry.next === undefined && this.#syncs.get(folder) === entry) this.#syncs.delete(folder);
    };
    entry.running.then(forget, forget);
    return entry.running;
  }

  async #fsync(folder: string): Promise<void> {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    try {
      await guarded({ what: "sync folder", path: folder }, async () => {
        const handle = await this.files.open(folder, "r");
        try {
          await handle.sync();
        } finally {
          await this.files.close(handle);
        }
      });
    } catch (error) {
      this.#syncFailure ??= error;
      throw error;
    }
  }
}
