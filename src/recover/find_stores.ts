import { MillraceError } from "../base/errors.js";
import { isJsonObject } from "../base/json.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { JOURNAL_FOLDER, MARKER_KEY } from "../journal/writer_marker.js";
import { memberKey } from "../zarr/chunk_key.js";
import type { RecoveryFiles } from "./recovery_files.js";

/** What lies below a place that is no writer's own. Paths of nodes, "" is the place itself; sorted. */
interface FoundStores {
  /** Nodes with a writer's marker: each is a store of its own. */
  readonly marked: readonly string[];
  /** Nodes with a zarr.json. */
  readonly nodes: readonly string[];
}

/** A walk ends, and with bounded memory. */
const FOLDERS_MAX = 100_000;
/** Names in a message. */
const NAMES_MAX = 5;

/**
 * Looks for stores below a folder, wherever they lie; not among the shards of an array, and not behind links to
 * folders.
 * @throws MillraceError STORE_UNSUPPORTED for more than 100,000 folders
 */
export async function findStores(files: RecoveryFiles, signal: AbortSignal | undefined): Promise<FoundStores> {
  const marked: string[] = [];
  const nodes: string[] = [];
  const waiting = [""];
  for (let folders = 1; waiting.length > 0; folders++) {
    signal?.throwIfAborted();
    if (folders > FOLDERS_MAX) throw tooMany(files.root);
    const path = waiting.pop()!;
    const entries = await files.entries(path);
    const isNode = entries.some(({ name, isFolder }) => name === METADATA_NAME && !isFolder);
    if (isNode) nodes.push(path);
    const isArray = isNode && !isGroup(await files.read(memberKey(path, METADATA_NAME)));
    for (const { name, isFolder } of entries) {
      if (!isFolder) continue;
      if (name === JOURNAL_FOLDER) {
        if ((await files.kindOf(memberKey(path, MARKER_KEY))) === "other") marked.push(path);
      } else if (!isArray || name !== "c") waiting.push(memberKey(path, name));
    }
  }
  return { marked: marked.sort(), nodes: nodes.sort() };
}

/** What does not read is taken for an array: there may be a million shards. */
export function isGroup(metadata: Uint8Array | undefined): boolean {
  if (metadata === undefined) return false;
  try {
    const document = JSON.parse(new TextDecoder().decode(metadata));
    return isJsonObject(document) && document.node_type === "group";
  } catch {
    return false;
  }
}

/** There is no store at a place, but there are some below it. */
export function storesBelow(location: string, stores: readonly string[]): MillraceError {
  const named = stores.slice(0, NAMES_MAX).join(", ");
  const more = stores.length > NAMES_MAX ? `, and ${stores.length - NAMES_MAX} more` : "";
  const message = `${location} is no store: it holds no ${METADATA_NAME}. Below it there are ${named}${more}.`;
  return new MillraceError("STORE_NOT_FOUND", message, {
    context: { location, stores: stores.slice(0, NAMES_MAX) },
    hint:
      `Recover each of them by its own path. Those below a group, which has a ${METADATA_NAME}, ` +
      "are recovered together.",
  });
}

function tooMany(root: string): MillraceError {
  return new MillraceError(
    "STORE_UNSUPPORTED",
    `${root} has more than ${FOLDERS_MAX} folders besides those of shards.`,
    {
      context: { path: root, limit: FOLDERS_MAX },
      hint: "Recover the stores in it by their own paths.",
    },
  );
}
