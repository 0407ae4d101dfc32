import { homedir } from "node:os";
import { join, sep } from "node:path";
import { MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { JOURNAL_FOLDER, MARKER_KEY } from "../journal/writer_marker.js";
import type { FileSystem } from "./file_system.js";
import { notClosed } from "./not_closed.js";
import { TEMPORARY_SUFFIX } from "./object_key.js";
import { errnoOf, guarded } from "./os_error.js";

/** The one file that every Zarr v3 node has. */
/**
 * The metadata's name while an overwrite removes the rest: readers see no store any more, and an overwrite that was
 * interrupted can be started again.
 */
const DOOMED_NAME = "zarr.json.overwritten";

/** Names in the folder, without folders that are empty (a mounted disk brings "lost+found"). */
async function contentOf(fs: FileSystem, root: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await fs.entries(root)) {
    if (entry.isFolder && (await fs.entries(join(root, entry.name))).length === 0) continue;
    names.push(entry.name);
  }
  return names;
}

function contains(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** For mode "create": refuses everything but a missing or an empty folder. */
export async function refuseExisting(fs: FileSystem, root: string): Promise<void> {
  await refuseFile(fs, root);
  const content = await guarded({ what: "look into", path: root }, async () =>
    (await fs.kindOf(root)) === "absent" ? ([] as string[]) : contentOf(fs, root),
  );
  if (content.length === 0) return;
  const what = content.includes(METADATA_NAME) ? "already holds a store" : `is not empty (${content[0]} …)`;
  throw new MillraceError("STORE_EXISTS", `${root} ${what}, and the mode is "create".`, {
    context: { path: root, entry: content[0], entries: content.length },
    hint: content.includes(JOURNAL_FOLDER)
      ? "Its writer is at work, or has not closed it: recover it, choose another path, or delete it with mode: " +
        '"overwrite".'
      : 'Choose another path, or mode: "overwrite" to delete the old store first.',
  });
}

/** Names of foreign things in a message. */
const FOREIGN_NAMES_MAX = 5;
/** Chunks and shards of any key encoding, unfinished ones too, or their folders. */
const CHUNK_NAME = /^(c([./].+)?|\d+([./]\d+)*)(\.partial)?$/;

/** What lies in the folder of a store and is neither its metadata, its chunks nor a node below it. */
async function foreignNames(fs: FileSystem, root: string, content: readonly string[]): Promise<string[]> {
  const foreign: string[] = [];
  for (const name of content) {
    if ([METADATA_NAME, METADATA_NAME + TEMPORARY_SUFFIX, DOOMED_NAME, JOURNAL_FOLDER].includes(name)) continue;
    if (CHUNK_NAME.test(name)) continue;
    const path = join(root, name);
    // A store below a group, also one whose writer came no further than its marker.
    if ((await fs.kindOf(path)) === "folder") {
      if ((await fs.kindOf(join(path, METADATA_NAME))) !== "absent") continue;
      if ((await fs.kindOf(join(path, JOURNAL_FOLDER))) !== "absent") continue;
    }
    foreign.push(name);
  }
  return foreign.sort();
}

async function refuseForeign(fs: FileSystem, root: string, content: readonly string[]): Promise<void> {
  const foreign = await foreignNames(fs, root, content);
  if (foreign.length === 0) return;
  const shown = foreign.slice(0, FOREIGN_NAMES_MAX);
  const more = foreign.length > shown.length ? `, and ${foreign.length - shown.length} more` : "";
  const what = `it holds what is no part of a store: ${shown.join(", ")}${more}`;
  throw new MillraceError("STORE_FOREIGN", `mode "overwrite" does not delete ${root}: ${what}.`, {
    context: { path: root, entries: foreign.length, names: shown },
    hint: "Move it elsewhere; or delete it together with the store, with fileSink(path, { force: true }) or --force.",
  });
}

/**
 * For mode "overwrite": deletes what the root holds, not the root itself. Refuses a folder that is no store. A crash or
 * a power cut in between leaves the old store whole, or a folder without zarr.json that can be overwritten again.
 * @param stopped looked at between two files; once true, the rest stays as after a crash
 * @param force deletes also what is no part of a store
 * @throws MillraceError WRITER_ABORTED when it was stopped, STORE_FOREIGN without `force`
 */
export async function removeStore(
  fs: FileSystem,
  root: string,
  stopped = (): boolean => false,
  force = false,
): Promise<void> {
  await refuseFile(fs, root);
  await guarded({ what: "remove the old store in", path: root }, async () => {
    if ((await fs.kindOf(root)) === "absent") return;
    const content = await contentOf(fs, root);
    if (content.length === 0) return;

    const real = await fs.realpath(root);
    const home = await resolved(fs, homedir());
    // The last: a writer has begun here, and come no further than its marker.
    const isStore =
      content.includes(METADATA_NAME) ||
      content.includes(DOOMED_NAME) ||
      content.every((name) => name === JOURNAL_FOLDER || name === METADATA_NAME + TEMPORARY_SUFFIX);
    if (!isStore || contains(real, home)) {
      const why = isStore ? "holds the home folder" : `has no ${METADATA_NAME}, so it does not look like a store`;
      throw new MillraceError("INVALID_OPTION", `mode "overwrite" does not delete ${root}: it ${why}.`, {
        context: { path: root, option: "mode", entry: content[0] },
        hint: "Check the path; delete the folder yourself if it is the right one.",
      });
    }
    // Once begun, an overwrite was allowed: it may have left folders of stores without their metadata.
    if (!force && !content.includes(DOOMED_NAME)) await refuseForeign(fs, root, content);
    if (content.includes(METADATA_NAME)) await fs.rename(join(root, METADATA_NAME), join(root, DOOMED_NAME));
    // Or a power cut could leave the old metadata without the old shards, which reads as fill values.
    await syncNames(fs, root);
    for (const { name } of await fs.entries(root)) {
      if (name !== DOOMED_NAME) await fs.removeTree(join(root, name), stopped);
    }
    if (stopped()) {
      throw new MillraceError("WRITER_ABORTED", `the stream was aborted while the old store in ${root} was removed.`, {
        context: { path: root },
        hint: 'What is left can be overwritten again, with mode: "overwrite".',
      });
    }
    // Or old shards without either name: no store, and nothing that could be overwritten.
    await syncNames(fs, root);
    await fs.removeTree(join(root, DOOMED_NAME));
  });
}

/** As the root was resolved: where HOME is a link, its own text is below no folder that holds what it leads to. */
async function resolved(fs: FileSystem, path: string): Promise<string> {
  try {
    return await fs.realpath(path);
  } catch (error) {
    // Of a user without a home folder.
    if (["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "")) return path;
    throw error;
  }
}

/** Errors of a file system that cannot sync folders. */
const NO_FOLDER_SYNC = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EISDIR"]);

/** Where folders cannot be synced, a stream that needs it fails by itself; one without durability goes on. */
async function syncNames(fs: FileSystem, folder: string): Promise<void> {
  try {
    const handle = await fs.open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(errnoOf(error) ?? "")) throw error;
  }
}

/** For mode "resume": refuses everything but a folder with metadata at its root. */
export async function requireStore(fs: FileSystem, root: string): Promise<void> {
  await refuseFile(fs, root);
  const has = (key: string): Promise<boolean> => {
    const path = join(root, key);
    return guarded({ what: "look at", path }, async () => (await fs.kindOf(path)) === "other");
  };
  if (await has(MARKER_KEY)) throw notClosed(root, MARKER_KEY);
  if (await has(METADATA_NAME)) return;
  throw new MillraceError("STORE_NOT_FOUND", `${root} holds no ${METADATA_NAME}, and the mode is "resume".`, {
    context: { path: root },
    hint: 'Check the path, or use mode: "create" to begin a store.',
  });
}

async function refuseFile(fs: FileSystem, root: string): Promise<void> {
  const kind = await guarded({ what: "look at", path: root }, () => fs.kindOf(root));
  if (kind !== "other") return;
  throw new MillraceError("INVALID_OPTION", `the path of a file sink is a folder, but ${root} is something else.`, {
    context: { path: root, option: "path" },
  });
}
