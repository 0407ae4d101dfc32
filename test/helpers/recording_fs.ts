import { dirname } from "node:path";
import type { FileSystem, OpenFile } from "../../src/sinks/file_system.js";

/**
 * One change of a file system, with its data: enough to do it again on another one, in this order or another. Files and
 * folders are named by number (`node`), as they keep it through renames; `path` says where a name comes or goes. Bytes
 * are copies.
 */
export type FsOperation =
  | { readonly op: "create"; readonly path: string; readonly node: number }
  | { readonly op: "mkdir"; readonly path: string; readonly node: number }
  | { readonly op: "write"; readonly node: number; readonly position: number; readonly bytes: Uint8Array }
  /** Cuts a file, or makes it longer with zeros. */
  | { readonly op: "truncate"; readonly node: number; readonly bytes: number }
  | { readonly op: "rename"; readonly from: string; readonly to: string; readonly node: number }
  | { readonly op: "unlink"; readonly path: string; readonly node: number }
  | { readonly op: "rmdir"; readonly path: string; readonly node: number }
  /**
   * fdatasync or fsync of a file, fsync of a folder: changes nothing, but what came before it cannot be lost any more.
   * `since` is the length of the log when it was called: what came between that and its end, it need not have seen.
   */
  | { readonly op: "sync"; readonly node: number; readonly isFolder: boolean; readonly since: number };

/** A call, also one that changes nothing. */
export interface FsCallAbout {
  readonly method: string;
  readonly path: string;
  /** From 1, over all methods. */
  readonly index: number;
}

function osError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/**
 * A file system in memory that logs every change. `before` and `after` run around every call: to wait, or to throw;
 * what throws in `after` has happened. A copy shares nothing with what it was made from, and `apply` does logged
 * operations again.
 */
export class RecordingFs implements FileSystem {
  readonly log: FsOperation[] = [];
  readonly calls: FsCallAbout[] = [];
  before: (call: FsCallAbout) => Promise<void> | void = () => {};
  after: (call: FsCallAbout) => Promise<void> | void = () => {};
  /** Hears of every change, before it is done. */
  onOperation: (operation: FsOperation) => void = () => {};
  openHandles = 0;
  /** Where each name leads. */
  readonly #names = new Map<string, number>([["/", 0]]);
  /** Content; undefined for folders. Arrays are never changed in place. */
  readonly #nodes = new Map<number, Uint8Array | undefined>([[0, undefined]]);
  #nextNode = 1;

  copy(): RecordingFs {
    const copy = new RecordingFs();
    for (const [path, node] of this.#names) copy.#names.set(path, node);
    for (const [node, bytes] of this.#nodes) copy.#nodes.set(node, bytes);
    copy.#nextNode = this.#nextNode;
    return copy;
  }

  /** Files below a folder by relative path, sorted. */
  files(root: string): Map<string, Uint8Array> {
    const found = [...this.#names].filter(([path]) => path.startsWith(`${root}/`));
    const files = found.flatMap(([path, node]): [string, Uint8Array][] => {
      const bytes = this.#nodes.get(node);
      return bytes === undefined ? [] : [[path.slice(root.length + 1), bytes]];
    });
    return new Map(files.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Everything there is, a folder before what it holds; `bytes` undefined: a folder. */
  tree(): { readonly path: string; readonly node: number; readonly bytes: Uint8Array | undefined }[] {
    const paths = [...this.#names].sort(([a], [b]) => (a < b ? -1 : 1));
    return paths.map(([path, node]) => ({ path, node, bytes: this.#nodes.get(node) }));
  }

  /** Every file and folder below one, with content as text, to compare two file systems. */
  content(root: string): Record<string, string> {
    const found = [...this.#names].filter(([path]) => path.startsWith(`${root}/`)).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(
      found.map(([path, node]) => {
        const bytes = this.#nodes.get(node);
        return [path, bytes === undefined ? "a folder" : Buffer.from(bytes).toString("base64")];
      }),
    );
  }

  /** Does a change, whoever has recorded it. */
  apply(operation: FsOperation): void {
    switch (operation.op) {
      case "create":
        this.#names.set(operation.path, operation.node);
        this.#nodes.set(operation.node, new Uint8Array(0));
        break;
      case "mkdir":
        this.#names.set(operation.path, operation.node);
        this.#nodes.set(operation.node, undefined);
        break;
      case "write": {
        const old = this.#bytes(operation.node);
        const bytes = new Uint8Array(Math.max(old.length, operation.position + operation.bytes.length));
        bytes.set(old);
        bytes.set(operation.bytes, operation.position);
        this.#nodes.set(operation.node, bytes);
        break;
      }
      case "truncate": {
        const bytes = new Uint8Array(operation.bytes);
        bytes.set(this.#bytes(operation.node).subarray(0, operation.bytes));
        this.#nodes.set(operation.node, bytes);
        break;
      }
      case "rename":
        this.#names.delete(operation.from);
        this.#names.set(operation.to, operation.node);
        break;
      case "unlink":
      case "rmdir":
        this.#names.delete(operation.path);
        break;
      case "sync":
        break;
    }
    if ("node" in operation) this.#nextNode = Math.max(this.#nextNode, operation.node + 1);
  }

  async open(path: string, flags: "wx" | "w" | "r+" | "r"): Promise<OpenFile> {
    const node = await this.#call("open", path, () => {
      const there = this.#names.get(path);
      if (flags === "wx" && there !== undefined) throw osError("EEXIST", path);
      if (flags !== "r" && there !== undefined && this.#nodes.get(there) === undefined) throw osError("EISDIR", path);
      if (there === undefined) {
        if (flags === "r" || flags === "r+") throw osError("ENOENT", path);
        this.#checkParent(path);
        const node = this.#nextNode;
        this.#do({ op: "create", path, node });
        return node;
      }
      if (flags === "w") this.#do({ op: "truncate", node: there, bytes: 0 });
      return there;
    });
    this.openHandles++;
    let isOpen = true;
    const call = <T>(method: string, run: () => T): Promise<T> => {
      if (!isOpen) throw osError("EBADF", path);
      return this.#call(`file.${method}`, path, run);
    };
    const sync = (method: string): Promise<void> => {
      const since = this.log.length;
      return call(method, () => this.#do({ op: "sync", node, isFolder: this.#nodes.get(node) === undefined, since }));
    };
    return {
      writev: (views, position) =>
        call("writev", () => {
          const bytes = new Uint8Array(Buffer.concat(views));
          this.#do({ op: "write", node, position, bytes });
          return bytes.length;
        }),
      read: (into, position) =>
        call("read", () => {
          const part = this.#bytes(node).subarray(position, position + into.byteLength);
          into.set(part);
          return part.length;
        }),
      size: () => call("size", () => this.#bytes(node).length),
      links: () => call("links", () => 1),
      truncate: (bytes) => call("truncate", () => this.#do({ op: "truncate", node, bytes })),
      datasync: () => sync("datasync"),
      sync: () => sync("sync"),
      close: () => {
        const closed = call("close", () => {});
        // Like Linux: the descriptor is gone also when close fails.
        if (isOpen) this.openHandles--;
        isOpen = false;
        return closed;
      },
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call("rename", from, () => {
      const node = this.#node(from);
      this.#checkParent(to);
      this.#do({ op: "rename", from, to, node });
    });
  }

  unlink(path: string): Promise<void> {
    return this.#call("unlink", path, () => {
      const node = this.#node(path);
      if (this.#nodes.get(node) === undefined) throw osError("EISDIR", path);
      this.#do({ op: "unlink", path, node });
    });
  }

  mkdir(path: string): Promise<void> {
    return this.#call("mkdir", path, () => {
      if (this.#names.has(path)) throw osError("EEXIST", path);
      this.#checkParent(path);
      this.#do({ op: "mkdir", path, node: this.#nextNode });
    });
  }

  mkdirAll(path: string): Promise<string | undefined> {
    return this.#call("mkdirAll", path, () => {
      const missing: string[] = [];
      for (let at = path; !this.#names.has(at); at = dirname(at)) missing.unshift(at);
      for (const folder of missing) this.#do({ op: "mkdir", path: folder, node: this.#nextNode });
      return missing[0];
    });
  }

  rmdir(path: string): Promise<void> {
    return this.#call("rmdir", path, () => {
      const node = this.#node(path);
      if (this.#children(path).length > 0) throw osError("ENOTEMPTY", path);
      this.#do({ op: "rmdir", path, node });
    });
  }

  removeTree(path: string): Promise<void> {
    return this.#call("removeTree", path, () => {
      const below = [...this.#names].filter(([name]) => name === path || name.startsWith(`${path}/`));
      // Deepest first.
      for (const [name, node] of below.sort(([a], [b]) => b.length - a.length)) {
        this.#do({ op: this.#nodes.get(node) === undefined ? "rmdir" : "unlink", path: name, node });
      }
    });
  }

  kindOf(path: string): Promise<"absent" | "folder" | "other"> {
    return this.#call("kindOf", path, () => {
      const node = this.#names.get(path);
      if (node === undefined) return "absent";
      return this.#nodes.get(node) === undefined ? "folder" : "other";
    });
  }

  entries(path: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]> {
    return this.#call("entries", path, () =>
      this.#children(path).map((child) => ({
        name: child.slice(path.length + 1),
        isFolder: this.#nodes.get(this.#node(child)) === undefined,
      })),
    );
  }

  async realpath(path: string): Promise<string> {
    return path;
  }

  async #call<T>(method: string, path: string, run: () => T): Promise<T> {
    const call = { method, path, index: this.calls.length + 1 };
    this.calls.push(call);
    await this.before(call);
    const result = run();
    await this.after(call);
    return result;
  }

  #do(operation: FsOperation): void {
    this.onOperation(operation);
    this.apply(operation);
    this.log.push(operation);
  }

  #node(path: string): number {
    const node = this.#names.get(path);
    if (node === undefined) throw osError("ENOENT", path);
    return node;
  }

  #bytes(node: number): Uint8Array {
    const bytes = this.#nodes.get(node);
    if (bytes === undefined) throw osError("EISDIR", `node ${node}`);
    return bytes;
  }

  #children(path: string): string[] {
    return [...this.#names.keys()].filter((name) => name !== "/" && dirname(name) === path);
  }

  #checkParent(path: string): void {
    if (!this.#names.has(dirname(path))) throw osError("ENOENT", path);
  }
}
