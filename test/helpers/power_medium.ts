import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { type FsOperation, RecordingFs } from "./recording_fs.js";

/**
 * What a power cut may leave of a file system: of everything that was not synced before it, any part.
 *
 * - Data of a file since its last sync: of every page any state that it has had, or a mixture of two that changes at a
 *   sector; the length any one that the file has had, or one between, at a sector. What is longer than its data is
 *   zeros.
 * - Names since the last sync of their folder: any of the changes, in order, that still can be made; a rename needs its
 *   source, and is made whole or not at all. A folder's sync keeps the names in it, and not its own.
 * - Names and data do not wait for each other.
 * - A sync keeps what was there when it was called, once it has ended. What is changed in between may or may not be
 *   kept.
 *
 * No sync is taken to do more than that, though many file systems do.
 */
export interface MediumSizes {
  readonly pageBytes: number;
  readonly sectorBytes: number;
}

/** As disks have them. */
export const DISK_SIZES: MediumSizes = { pageBytes: 4096, sectorBytes: 512 };
/** So fine that files of some hundred bytes are torn in many ways. */
export const FINE_SIZES: MediumSizes = { pageBytes: 64, sectorBytes: 16 };

export interface Choice {
  /**
   * Whether a change of a name is kept; a file's length; the state of a page; how many sectors of the page are in that
   * state.
   */
  readonly kind: "name" | "length" | "page" | "tear";
  /** Log index of the change that brought each option; −1 for what was on the medium before. Ascending. */
  readonly at: readonly number[];
}
/** Returns an index into `choice.at`: 0 is the oldest state, the last one the newest. */
export type Chooser = (choice: Choice) => number;

type DataOperation = Extract<FsOperation, { op: "write" | "truncate" }>;
type NameOperation = Extract<FsOperation, { path: string } | { from: string }>;

interface Pending<T> {
  readonly at: number;
  readonly operation: T;
}
interface FileState {
  readonly synced: Uint8Array;
  readonly pending: readonly Pending<DataOperation>[];
}
interface FolderState {
  /** Name to node. */
  readonly synced: ReadonlyMap<string, number>;
  readonly pending: readonly Pending<NameOperation>[];
}

/** The medium under a log of operations. Copies are cheap: states are never changed in place. */
export class PowerMedium {
  readonly #sizes: MediumSizes;
  #files = new Map<number, FileState>();
  #folders = new Map<number, FolderState>();
  /** Paths of folders as the system sees them, lost or not. */
  #paths = new Map<string, number>();

  /** @param base what is on the medium, all of it synced */
  constructor(base: RecordingFs, sizes: MediumSizes) {
    this.#sizes = sizes;
    for (const { path, node, bytes } of base.tree()) {
      if (bytes === undefined) {
        this.#folders.set(node, { synced: new Map(), pending: [] });
        this.#paths.set(path, node);
      } else this.#files.set(node, { synced: bytes, pending: [] });
      if (path !== "/") (this.#folderAt(dirname(path)).synced as Map<string, number>).set(basename(path), node);
    }
  }

  copy(): PowerMedium {
    const copy = new PowerMedium(new RecordingFs(), this.#sizes);
    copy.#files = new Map(this.#files);
    copy.#folders = new Map(this.#folders);
    copy.#paths = new Map(this.#paths);
    return copy;
  }

  /** @param at index in the log */
  apply(operation: FsOperation, at: number): void {
    switch (operation.op) {
      case "write":
      case "truncate": {
        const { synced, pending } = this.#files.get(operation.node)!;
        this.#files.set(operation.node, { synced, pending: [...pending, { at, operation }] });
        return;
      }
      case "sync":
        if (operation.isFolder) this.#syncFolder(operation.node, operation.since);
        else this.#syncFile(operation.node, operation.since);
        return;
      case "create":
        this.#files.set(operation.node, { synced: new Uint8Array(0), pending: [] });
        break;
      case "mkdir":
        this.#folders.set(operation.node, { synced: new Map(), pending: [] });
        this.#paths.set(operation.path, operation.node);
        break;
      case "rmdir":
        this.#paths.delete(operation.path);
        break;
      case "rename":
        if (dirname(operation.from) !== dirname(operation.to)) throw new Error("a rename stays in its folder here");
        break;
      case "unlink":
        break;
    }
    const folder = this.#nodeAt(dirname("path" in operation ? operation.path : operation.to));
    const { synced, pending } = this.#folders.get(folder)!;
    this.#folders.set(folder, { synced, pending: [...pending, { at, operation }] });
  }

  /** Log indexes of everything that may be lost, ascending. */
  pending(): number[] {
    const states = [...this.#files.values(), ...this.#folders.values()];
    return states.flatMap(({ pending }) => pending.map(({ at }) => at)).sort((a, b) => a - b);
  }

  /** What is found when the power is back. Everything in it is on the medium. */
  image(choose: Chooser): RecordingFs {
    const image = new RecordingFs();
    const walk = (path: string, folder: number): void => {
      for (const [name, node] of this.#entries(folder, choose)) {
        const child = path === "/" ? `/${name}` : `${path}/${name}`;
        if (this.#folders.has(node)) {
          image.apply({ op: "mkdir", path: child, node });
          walk(child, node);
        } else {
          image.apply({ op: "create", path: child, node });
          const bytes = this.#content(node, choose);
          if (bytes.length > 0) image.apply({ op: "write", node, position: 0, bytes });
        }
      }
    };
    walk("/", this.#nodeAt("/"));
    return image;
  }

  #entries(folder: number, choose: Chooser): Map<string, number> {
    const { synced, pending } = this.#folders.get(folder)!;
    const names = new Map(synced);
    for (const { at, operation } of pending) {
      if (isPossible(operation, names) && choose({ kind: "name", at: [-1, at] }) === 1) rename(operation, names);
    }
    return names;
  }

  #content(node: number, choose: Chooser): Uint8Array {
    const { synced, pending } = this.#files.get(node)!;
    if (pending.length === 0) return synced;
    const { pageBytes, sectorBytes } = this.#sizes;
    const versions = [{ at: -1, bytes: synced }];
    for (const { at, operation } of pending) versions.push({ at, bytes: changed(versions.at(-1)!.bytes, operation) });

    const lengths = this.#lengths(versions);
    const length = lengths[choose({ kind: "length", at: lengths.map(({ at }) => at) })].bytes;
    const content = new Uint8Array(length);
    for (let from = 0; from < length; from += pageBytes) {
      const to = Math.min(length, from + pageBytes);
      const states = versions.filter(
        ({ bytes }, i) => i === 0 || !isEqual(bytes, versions[i - 1].bytes, from, from + pageBytes),
      );
      const state = states.length === 1 ? 0 : choose({ kind: "page", at: states.map(({ at }) => at) });
      content.set(states[state].bytes.subarray(from, to), from);
      if (state === 0) continue;
      // The write of this page was under way: its last sectors are as they were.
      const [older, newer] = [states[state - 1].bytes, states[state].bytes];
      const tears: number[] = [];
      for (let at = from + sectorBytes; at < to; at += sectorBytes) {
        if (!isEqual(older, newer, from, at) && !isEqual(older, newer, at, to)) tears.push(at);
      }
      if (tears.length === 0) continue;
      const tear = choose({ kind: "tear", at: [...tears, to].map(() => states[state].at) });
      if (tear === tears.length) continue;
      content.fill(0, tears[tear], to);
      content.set(older.subarray(tears[tear], to), tears[tear]);
    }
    return content;
  }

  /** Those that the file has had, and between each two some that end at a sector. */
  #lengths(versions: readonly { readonly at: number; readonly bytes: Uint8Array }[]): { at: number; bytes: number }[] {
    const lengths = [{ at: -1, bytes: versions[0].bytes.length }];
    for (const { at, bytes } of versions.slice(1)) {
      const before = lengths.at(-1)!.bytes;
      const { sectorBytes } = this.#sizes;
      const first = (Math.floor(before / sectorBytes) + 1) * sectorBytes;
      const last = (Math.ceil(bytes.length / sectorBytes) - 1) * sectorBytes;
      for (const between of new Set([first, last])) {
        if (between > before && between < bytes.length) lengths.push({ at, bytes: between });
      }
      if (bytes.length !== before) lengths.push({ at, bytes: bytes.length });
    }
    return lengths;
  }

  #syncFile(node: number, since: number): void {
    const { synced, pending } = this.#files.get(node)!;
    let bytes = synced;
    for (const { at, operation } of pending) if (at < since) bytes = changed(bytes, operation);
    this.#files.set(node, { synced: bytes, pending: pending.filter(({ at }) => at >= since) });
  }

  #syncFolder(node: number, since: number): void {
    const { synced, pending } = this.#folders.get(node)!;
    const names = new Map(synced);
    for (const { at, operation } of pending) if (at < since) rename(operation, names);
    this.#folders.set(node, { synced: names, pending: pending.filter(({ at }) => at >= since) });
  }

  #nodeAt(path: string): number {
    const node = this.#paths.get(path);
    if (node === undefined) throw new Error(`${path} is no folder`);
    return node;
  }

  #folderAt(path: string): FolderState {
    return this.#folders.get(this.#nodeAt(path))!;
  }
}

function changed(bytes: Uint8Array, operation: DataOperation): Uint8Array {
  const isWrite = operation.op === "write";
  const length = isWrite ? Math.max(bytes.length, operation.position + operation.bytes.length) : operation.bytes;
  const after = new Uint8Array(length);
  after.set(bytes.subarray(0, length));
  if (isWrite) after.set(operation.bytes, operation.position);
  return after;
}

/** Without what it depends on a change cannot be on the medium. */
function isPossible(operation: NameOperation, names: ReadonlyMap<string, number>): boolean {
  if (operation.op === "create" || operation.op === "mkdir") return true;
  return names.get(basename("from" in operation ? operation.from : operation.path)) === operation.node;
}

function rename(operation: NameOperation, names: Map<string, number>): void {
  if (operation.op === "create" || operation.op === "mkdir") names.set(basename(operation.path), operation.node);
  else if ("from" in operation) {
    names.delete(basename(operation.from));
    names.set(basename(operation.to), operation.node);
  } else names.delete(basename(operation.path));
}

/** Bytes [from, to); what lies behind the end counts as zeros. */
function isEqual(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return false;
  return true;
}

/** The same for the same files and folders, whatever their history. */
export function digest(fs: RecordingFs): string {
  const hash = createHash("sha1");
  for (const { path, bytes } of fs.tree()) {
    hash.update(`${path}\0${bytes?.length ?? "folder"}\0`);
    if (bytes !== undefined) hash.update(bytes);
  }
  return hash.digest("base64");
}

/** Choosers for what disks do most, named for messages. `pending`: log indexes that may be lost. */
export function* usualChoosers(pending: readonly number[]): Generator<readonly [string, Chooser]> {
  const newest = ({ at }: Choice): number => at.length - 1;
  const upTo =
    (limit: number): Chooser =>
    ({ at }) =>
      at.findLastIndex((index) => index < limit);
  const split =
    (names: Chooser, lengths: Chooser, data: Chooser): Chooser =>
    (choice) =>
      choice.kind === "name" ? names(choice) : choice.kind === "length" ? lengths(choice) : data(choice);
  const none: Chooser = () => 0;
  yield ["all of it is there", newest];
  yield ["nothing of it is there", none];
  yield ["names without data", split(newest, none, none)];
  yield ["names, and zeros for data", split(newest, newest, none)];
  yield ["data without names", split(none, newest, newest)];
  for (const index of pending) {
    yield [`all before operation ${index}`, upTo(index)];
    yield [`names before operation ${index}, and all data`, split(upTo(index), newest, newest)];
    yield [`names before operation ${index}, and zeros for data`, split(upTo(index), newest, none)];
    yield [`all names, and data before operation ${index}`, split(newest, upTo(index), upTo(index))];
    const only: Chooser = ({ at }) => Math.max(0, at.lastIndexOf(index));
    yield [`only operation ${index}`, only];
    yield [`all but operation ${index}`, ({ at }) => (at.at(-1) === index ? at.length - 2 : at.length - 1)];
  }
}

/** How many choosers {@link usualChoosers} gives. */
export function usualCount(pending: number): number {
  return 5 + 6 * pending;
}

/**
 * Runs `make` with every sequence of choices there is, oldest states first; stops behind `limit` of them. Returns
 * whether it was all.
 */
export function everyImage(make: (choose: Chooser) => void, limit: number): boolean {
  let fixed: number[] = [];
  for (let made = 0; made < limit; made++) {
    const taken: { readonly chosen: number; readonly options: number }[] = [];
    make(({ at }) => {
      const chosen = fixed[taken.length] ?? 0;
      taken.push({ chosen, options: at.length });
      return chosen;
    });
    const next = taken.findLastIndex(({ chosen, options }) => chosen + 1 < options);
    if (next < 0) return true;
    fixed = [...taken.slice(0, next).map(({ chosen }) => chosen), taken[next].chosen + 1];
  }
  return false;
}

/**
 * Keeps names, lengths and data each with a likelihood of its own, so that images in which most is lost, or kept, come
 * up as well.
 */
export function randomChooser(random: () => number): Chooser {
  const levels = [0.05, 0.5, 0.95];
  const keep = { name: 0, length: 0, page: 0, tear: 0 };
  for (const kind of Object.keys(keep) as Choice["kind"][]) keep[kind] = levels[Math.floor(random() * levels.length)];
  return ({ kind, at }) => {
    if (random() < keep[kind]) return at.length - 1;
    return Math.floor(random() * at.length);
  };
}
