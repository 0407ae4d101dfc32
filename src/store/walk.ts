import { MillraceError } from "../base/errors.js";
import type { StoredArray, StoredGroup } from "../zarr/parse_metadata.js";
import { METADATA_NAME, readNode } from "./array_layout.js";
import { isAboutOneObject, type StoreReader } from "./store_reader.js";

export interface FoundArray {
  readonly path: string;
  readonly metadata: StoredArray;
}

export interface FoundGroup {
  readonly path: string;
  readonly metadata: StoredGroup;
}

export interface StoreNodes {
  readonly arrays: readonly FoundArray[];
  readonly groups: readonly FoundGroup[];
  /** A zarr.json that does not read, by its node's path. */
  readonly broken: readonly { readonly path: string; readonly error: MillraceError }[];
}

/** Nodes of one store that are looked at; more is refused, so that a walk ends with bounded memory. */
const NODES_MAX = 100_000;

/**
 * Every node of a store, sorted by path. Where the root is an array there are no others: Zarr has no nodes below an array.
 * @throws MillraceError STORE_NOT_FOUND when there is no zarr.json anywhere, STORE_UNSUPPORTED for more than 100,000 nodes, or what
 *   the store rejects with
 */
export async function walkStore(store: StoreReader, signal?: AbortSignal): Promise<StoreNodes> {
  const arrays: FoundArray[] = [];
  const groups: FoundGroup[] = [];
  const broken: { path: string; error: MillraceError }[] = [];
  const look = async (path: string): Promise<boolean> => {
    try {
      const metadata = await readNode(store, path);
      if (metadata === undefined) return false;
      if (metadata.nodeType === "array") arrays.push({ path, metadata });
      else groups.push({ path, metadata });
    } catch (error) {
      if (!isAboutOneObject(error)) throw error;
      broken.push({ path, error });
    }
    return true;
  };
  await look("");
  if (arrays.length === 0) {
    const paths: string[] = [];
    for await (const { key } of store.list("")) {
      signal?.throwIfAborted();
      if (!key.endsWith(`/${METADATA_NAME}`)) continue;
      paths.push(key.slice(0, -METADATA_NAME.length - 1));
      if (paths.length > NODES_MAX) {
        throw new MillraceError("STORE_UNSUPPORTED", `${store.location} has more than ${NODES_MAX} nodes.`, {
          context: { location: store.location, limit: NODES_MAX },
        });
      }
    }
    for (const path of paths.sort()) {
      signal?.throwIfAborted();
      await look(path);
    }
  }
  if (arrays.length + groups.length + broken.length === 0) {
    throw new MillraceError("STORE_NOT_FOUND", `${store.location} holds no ${METADATA_NAME}: it is no Zarr v3 store.`, {
      context: { location: store.location },
    });
  }
  return { arrays, groups, broken };
}

/** The nodes above `path`, from its parent up to the root: "a/b/c" → "a/b", "a", "". */
export function ancestors(path: string): string[] {
  const result: string[] = [];
  for (let rest = path; rest !== ""; ) {
    const slash = rest.lastIndexOf("/");
    rest = slash < 0 ? "" : rest.slice(0, slash);
    result.push(rest);
  }
  return result;
}
