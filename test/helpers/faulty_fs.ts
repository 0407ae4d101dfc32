import { type FileSystem, nodeFileSystem, type OpenFile } from "../../src/sinks/file_system.js";

export type FsCall = keyof Omit<FileSystem, "open"> | "open" | `file.${keyof OpenFile}`;

/** Called before each call; throws to make it fail, or returns a number to make a writev that short. */
export type FsHook = (call: FsCall, nth: number, path: string) => HookResult | Promise<HookResult>;
// biome-ignore lint/suspicious/noConfusingVoidType: hooks that only throw return nothing
type HookResult = number | undefined | void;

/** The real file system behind a hook, with a log of calls and a count of handles that were not closed. */
export function hookedFs(hook: FsHook = () => undefined) {
  const log: string[] = [];
  const counts = new Map<FsCall, number>();
  const state = { openHandles: 0, openHandlesMax: 0, log, counts };

  async function before(call: FsCall, path: string): Promise<number | undefined> {
    const nth = (counts.get(call) ?? 0) + 1;
    counts.set(call, nth);
    log.push(`${call} ${path}`);
    return (await hook(call, nth, path)) ?? undefined;
  }

  const fs: FileSystem = {
    async open(path, flags) {
      await before("open", path);
      const inner = await nodeFileSystem.open(path, flags);
      state.openHandles++;
      state.openHandlesMax = Math.max(state.openHandlesMax, state.openHandles);
      return {
        async writev(views, position) {
          const limit = await before("file.writev", path);
          return inner.writev(limit === undefined ? views : cut(views, limit), position);
        },
        async read(into, position) {
          await before("file.read", path);
          return inner.read(into, position);
        },
        async size() {
          await before("file.size", path);
          return inner.size();
        },
        async links() {
          await before("file.links", path);
          return inner.links();
        },
        async truncate(bytes) {
          await before("file.truncate", path);
          await inner.truncate(bytes);
        },
        async datasync() {
          await before("file.datasync", path);
          await inner.datasync();
        },
        async sync() {
          await before("file.sync", path);
          await inner.sync();
        },
        async close() {
          // Like Linux: the descriptor is gone also when close fails.
          state.openHandles--;
          await inner.close();
          await before("file.close", path);
        },
      };
    },
    rename: async (from, to) => {
      await before("rename", `${from} -> ${to}`);
      await nodeFileSystem.rename(from, to);
    },
    unlink: (path) => before("unlink", path).then(() => nodeFileSystem.unlink(path)),
    mkdir: (path) => before("mkdir", path).then(() => nodeFileSystem.mkdir(path)),
    mkdirAll: (path) => before("mkdirAll", path).then(() => nodeFileSystem.mkdirAll(path)),
    rmdir: (path) => before("rmdir", path).then(() => nodeFileSystem.rmdir(path)),
    removeTree: (path) => before("removeTree", path).then(() => nodeFileSystem.removeTree(path)),
    kindOf: (path) => before("kindOf", path).then(() => nodeFileSystem.kindOf(path)),
    entries: (path) => before("entries", path).then(() => nodeFileSystem.entries(path)),
    realpath: (path) => before("realpath", path).then(() => nodeFileSystem.realpath(path)),
  };
  return Object.assign(state, { fs });
}

/** What the operating system throws. */
export function osError(code: string, syscall = "write"): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall });
}

function cut(views: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let left = bytes;
  const out: Uint8Array[] = [];
  for (const view of views) {
    if (left === 0) break;
    const part = view.subarray(0, Math.min(left, view.byteLength));
    left -= part.byteLength;
    out.push(part);
  }
  return out;
}
