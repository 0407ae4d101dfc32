import { basename, dirname } from "node:path";
import type { FileSystem, OpenFile } from "../../src/sinks/file_system.js";
import { osError } from "./faulty_fs.js";
import { type FsOperation, RecordingFs } from "./recording_fs.js";

/**
 * What goes wrong with one call, or from it on.
 *
 * - a number of the system: the call is not done, later ones are
 * - "done, then EIO": as network file systems do whose answer was lost
 * - "read-only": as a file system that was remounted after an error: nothing can be changed any more, nor synced
 * - "full": nothing can be made longer any more
 * - "short": half of the bytes; "no bytes": none, and no error
 * - "late": other calls overtake it
 * - "lie": it reports success and does nothing
 */
export const FAULTS = [
  "EIO",
  "ENOSPC",
  "EDQUOT",
  "EACCES",
  "EMFILE",
  "ENFILE",
  "done, then EIO",
  "read-only",
  "full",
  "short",
  "no bytes",
  "late",
  "lie",
] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Number of the call, from 1. */
  readonly at: number;
}

export interface DiskCall {
  readonly index: number;
  /** As in FileSystem; those of an open file with "file." before. */
  readonly method: string;
  readonly path: string;
  /** Of open. */
  readonly flags?: string;
}

const SPACE_CALLS = ["file.writev", "file.datasync", "file.close", "file.truncate", "mkdir", "mkdirAll", "rename"];
const NAME_CALLS = ["open", "mkdir", "mkdirAll", "rename", "unlink", "rmdir", "removeTree", "kindOf", "entries"];
const HANDLE_CALLS = ["open", "entries"];
const CHANGES = [
  "file.writev",
  "file.truncate",
  "file.datasync",
  "file.sync",
  "rename",
  "unlink",
  "mkdir",
  "mkdirAll",
  "rmdir",
  "removeTree",
];

const makesFile = ({ method, flags }: DiskCall): boolean => method === "open" && (flags === "w" || flags === "wx");
const isChange = (call: DiskCall): boolean =>
  CHANGES.includes(call.method) || (call.method === "open" && call.flags !== "r");
const takesSpace = (call: DiskCall): boolean =>
  makesFile(call) || ["file.writev", "file.datasync", "mkdir", "mkdirAll"].includes(call.method);

/** Whether a system can fail like that. */
export function canStrike(kind: FaultKind, call: DiskCall): boolean {
  const { method } = call;
  switch (kind) {
    case "EIO":
    case "late":
      return true;
    case "ENOSPC":
    case "EDQUOT":
      return makesFile(call) || SPACE_CALLS.includes(method);
    case "EACCES":
      return NAME_CALLS.includes(method);
    case "EMFILE":
    case "ENFILE":
      return HANDLE_CALLS.includes(method);
    case "done, then EIO":
    case "read-only":
      return isChange(call);
    case "full":
      return takesSpace(call);
    case "short":
    case "no bytes":
      return method === "file.writev";
    case "lie":
      return CHANGES.includes(method);
  }
}

/** Calls that overtake a late one, where there are as many. */
const OVERTAKING = 4;

/**
 * A file system in memory behind a fault, with the medium that a power cut would leave. A failed sync of a file is as
 * Linux does it: what it covered counts as written from then on and is never written, so that a second sync succeeds
 * and keeps nothing of it.
 */
export class FaultyDisk implements FileSystem {
  readonly cache: RecordingFs;
  readonly medium: Medium;
  /** Every call so far. */
  readonly calls: DiskCall[] = [];
  /** The call that the fault has struck first. */
  struck: DiskCall | undefined;
  openHandles = 0;
  #fault: Fault | undefined;
  #ended = 0;

  constructor(cache = new RecordingFs(), medium = new Medium()) {
    this.cache = cache;
    this.medium = medium;
    cache.onOperation = (operation) => medium.apply(operation);
  }

  /** The same disk, on its own from here on, without a fault. */
  copy(): FaultyDisk {
    return new FaultyDisk(this.cache.copy(), this.medium.copy());
  }

  /** Calls are counted from here. */
  inject(fault: Fault | undefined): void {
    this.#fault = fault;
    this.calls.length = 0;
    this.struck = undefined;
  }

  async open(path: string, flags: "wx" | "w" | "r+" | "r"): Promise<OpenFile> {
    const file = await this.#call({ method: "open", path, flags }, () => this.cache.open(path, flags));
    this.openHandles++;
    const call = <T>(method: string, run: () => Promise<T>, lied?: T): Promise<T> =>
      this.#call({ method: `file.${method}`, path }, run, lied);
    return {
      writev: async (views, position) => {
        const bytes = views.reduce((sum, view) => sum + view.byteLength, 0);
        const about = this.#begin({ method: "file.writev", path });
        if (this.#strikes(about, "short")) {
          return this.#end(file.writev([Buffer.concat(views).subarray(0, Math.ceil(bytes / 2))], position));
        }
        if (this.#strikes(about, "no bytes")) return this.#end(Promise.resolve(0));
        return await this.#do(about, () => file.writev(views, position), bytes);
      },
      read: (into, position) => call("read", () => file.read(into, position)),
      size: () => call("size", () => file.size()),
      links: () => call("links", () => file.links()),
      truncate: (bytes) => call("truncate", () => file.truncate(bytes)),
      datasync: () => this.#sync(path, () => call("datasync", () => file.datasync())),
      sync: () => this.#sync(path, () => call("sync", () => file.sync())),
      close: async () => {
        // Like Linux: the descriptor is gone also when close fails.
        this.openHandles--;
        await file.close();
        await call("close", async () => {});
      },
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call({ method: "rename", path: from }, () => this.cache.rename(from, to));
  }
  unlink(path: string): Promise<void> {
    return this.#call({ method: "unlink", path }, () => this.cache.unlink(path));
  }
  mkdir(path: string): Promise<void> {
    return this.#call({ method: "mkdir", path }, () => this.cache.mkdir(path));
  }
  mkdirAll(path: string): Promise<string | undefined> {
    return this.#call({ method: "mkdirAll", path }, () => this.cache.mkdirAll(path), path);
  }
  rmdir(path: string): Promise<void> {
    return this.#call({ method: "rmdir", path }, () => this.cache.rmdir(path));
  }
  removeTree(path: string): Promise<void> {
    return this.#call({ method: "removeTree", path }, () => this.cache.removeTree(path));
  }
  kindOf(path: string): Promise<"absent" | "folder" | "other"> {
    return this.#call({ method: "kindOf", path }, () => this.cache.kindOf(path));
  }
  entries(path: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]> {
    return this.#call({ method: "entries", path }, () => this.cache.entries(path));
  }
  async realpath(path: string): Promise<string> {
    return path;
  }

  async #sync(path: string, sync: () => Promise<void>): Promise<void> {
    const synced = this.medium.syncCount;
    try {
      await sync();
    } catch (error) {
      if (this.medium.syncCount === synced) this.medium.syncFailed(path);
      throw error;
    }
  }

  #call<T>(about: Omit<DiskCall, "index">, run: () => Promise<T>, lied?: T): Promise<T> {
    return this.#do(this.#begin(about), run, lied);
  }

  #begin(about: Omit<DiskCall, "index">): DiskCall {
    const call = { ...about, index: this.calls.length + 1 };
    this.calls.push(call);
    return call;
  }

  async #do<T>(call: DiskCall, run: () => Promise<T>, lied?: T): Promise<T> {
    if (this.#strikes(call, "late")) await this.#overtaken();
    if (this.#strikes(call, "lie")) return this.#end(Promise.resolve(lied as T));
    const errno = this.#errno(call);
    if (errno !== undefined) return this.#end(Promise.reject(osError(errno, call.method)));
    const result = await this.#end(run());
    if (this.#strikes(call, "done, then EIO")) throw osError("EIO", call.method);
    return result;
  }

  async #end<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } finally {
      this.#ended++;
    }
  }

  #strikes(call: DiskCall, kind: FaultKind): boolean {
    const fault = this.#fault;
    if (fault?.kind !== kind || fault.at !== call.index || !canStrike(kind, call)) return false;
    this.struck ??= call;
    return true;
  }

  #errno(call: DiskCall): string | undefined {
    const fault = this.#fault;
    if (fault === undefined || call.index < fault.at) return undefined;
    const { kind } = fault;
    let errno: string | undefined;
    if (kind === "read-only") errno = isChange(call) ? "EROFS" : undefined;
    else if (kind === "full") errno = takesSpace(call) ? "ENOSPC" : undefined;
    else if (kind.startsWith("E") && call.index === fault.at && canStrike(kind, call)) errno = kind;
    if (errno !== undefined) this.struck ??= call;
    return errno;
  }

  /** Until enough other calls have ended, or nothing is going on any more. */
  async #overtaken(): Promise<void> {
    const from = this.#ended;
    for (let turn = 0; turn < 100 && this.#ended - from < OVERTAKING; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

type DataOperation = Extract<FsOperation, { op: "write" | "truncate" }>;
type NameOperation = Extract<FsOperation, { op: "create" | "mkdir" | "rename" | "unlink" | "rmdir" }>;

interface MediumFile {
  synced: Uint8Array;
  pending: DataOperation[];
}

/**
 * What of a file system is on the medium for certain: the data of a file up to its last sync, the names of a folder up
 * to its last sync. Begins empty, and hears of every change.
 */
export class Medium {
  syncCount = 0;
  readonly #files = new Map<number, MediumFile>();
  /** Of folders: names to nodes. */
  readonly #folders = new Map<number, { synced: Map<string, number>; pending: NameOperation[] }>([
    [0, { synced: new Map(), pending: [] }],
  ]);
  /** Where paths lead as the system sees it. */
  readonly #paths = new Map<string, number>([["/", 0]]);

  copy(): Medium {
    const copy = new Medium();
    for (const [node, { synced, pending }] of this.#files) copy.#files.set(node, { synced, pending: [...pending] });
    for (const [node, { synced, pending }] of this.#folders) {
      copy.#folders.set(node, { synced: new Map(synced), pending: [...pending] });
    }
    for (const [path, node] of this.#paths) copy.#paths.set(path, node);
    return copy;
  }

  apply(operation: FsOperation): void {
    switch (operation.op) {
      case "write":
      case "truncate":
        this.#files.get(operation.node)!.pending.push(operation);
        return;
      case "sync":
        this.syncCount++;
        if (operation.isFolder) this.#keepNames(operation.node);
        else this.#keepData(operation.node);
        return;
      case "create":
        this.#files.set(operation.node, { synced: new Uint8Array(0), pending: [] });
        this.#paths.set(operation.path, operation.node);
        break;
      case "mkdir":
        this.#folders.set(operation.node, { synced: new Map(), pending: [] });
        this.#paths.set(operation.path, operation.node);
        break;
      case "rename":
        this.#paths.delete(operation.from);
        this.#paths.set(operation.to, operation.node);
        break;
      case "unlink":
      case "rmdir":
        this.#paths.delete(operation.path);
        break;
    }
    const path = operation.op === "rename" ? operation.to : operation.path;
    this.#folders.get(this.#paths.get(dirname(path))!)!.pending.push(operation);
  }

  /** What was to be synced is given up. Names stay as they are: a later sync of their folder keeps them. */
  syncFailed(path: string): void {
    const file = this.#files.get(this.#paths.get(path) ?? -1);
    if (file !== undefined) file.pending = [];
  }

  /** What is found when the power is back. */
  image(): RecordingFs {
    const image = new RecordingFs();
    const build = (folder: number, path: string): void => {
      for (const [name, node] of this.#folders.get(folder)!.synced) {
        const child = `${path}/${name}`;
        const file = this.#files.get(node);
        if (file === undefined) {
          image.apply({ op: "mkdir", path: child, node });
          build(node, child);
        } else {
          image.apply({ op: "create", path: child, node });
          image.apply({ op: "write", node, position: 0, bytes: file.synced });
        }
      }
    };
    build(0, "");
    return image;
  }

  #keepData(node: number): void {
    const file = this.#files.get(node)!;
    for (const operation of file.pending) file.synced = changed(file.synced, operation);
    file.pending = [];
  }

  #keepNames(node: number): void {
    const { synced, pending } = this.#folders.get(node)!;
    for (const operation of pending.splice(0)) {
      if (operation.op === "rename") {
        synced.delete(basename(operation.from));
        synced.set(basename(operation.to), operation.node);
      } else if (operation.op === "create" || operation.op === "mkdir") {
        synced.set(basename(operation.path), operation.node);
      } else synced.delete(basename(operation.path));
    }
  }
}

function changed(bytes: Uint8Array, operation: DataOperation): Uint8Array {
  const isCut = operation.op === "truncate";
  const length = isCut ? operation.bytes : Math.max(bytes.length, operation.position + operation.bytes.length);
  const out = new Uint8Array(length);
  out.set(bytes.subarray(0, length));
  if (!isCut) out.set(operation.bytes, operation.position);
  return out;
}
