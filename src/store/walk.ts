import { isMillraceError, MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import type { StoredArray, StoredGroup, StoredNode } from "../zarr/parse_metadata.js";
import { readNode } from "./array_layout.js";
import { isAboutOneObject, type StoreReader } from "./store_reader.js";

export interface FoundArray {
  readonly path: string;
  readonly metadata: StoredArray;
}

interface FoundGroup {
  readonly path: string;
  readonly metadata: StoredGroup;
}

interface StoreNodes {
  readonly arrays: readonly FoundArray[];
  readonly groups: readonly FoundGroup[];
  /** A zarr.json that does not read, by its node's path. */
  readonly broken: readonly { readonly path: string; readonly error: MillraceError }[];
}

/** A zarr.json that was found: what it says, or why it does not read. */
export type FoundNode = { readonly path: string } & (
  | { readonly metadata: StoredNode; readonly error?: undefined }
  | { readonly error: MillraceError; readonly metadata?: undefined }
);

interface WalkOptions {
  readonly signal?: AbortSignal;
  /**
   * Called where a part of the store could not be listed; the nodes that were found are walked all the same. Default:
   * the walk rejects with it.
   */
  readonly onUnlisted?: (error: MillraceError) => void;
}

/** Nodes of one store that are looked at; more is refused, so that a walk ends with bounded memory. */
export const NODES_MAX = 100_000;
/** Metadata read ahead: a round trip each, on S3. */
const READS_AT_ONCE = 4;

/**
 * Every node of a store, the root first and the others sorted by path; a few are read ahead. Where the root is an array
 * there are no others: Zarr has no nodes below an array.
 * @throws MillraceError STORE_NOT_FOUND when there is no zarr.json anywhere, STORE_UNSUPPORTED for more than 100,000
 *   nodes, or what the store rejects with
 */
export async function* walkNodes(
  store: StoreReader,
  { signal, onUnlisted }: WalkOptions = {},
): AsyncGenerator<FoundNode, void, undefined> {
  const look = async (path: string): Promise<FoundNode | undefined> => {
    try {
      const metadata = await readNode(store, path);
      return metadata && { path, metadata };
    } catch (error) {
      // Whoever aborted may have closed the store meanwhile: what fails then says nothing about it.
      signal?.throwIfAborted();
      if (!isAboutOneObject(error)) throw error;
      return { path, error };
    }
  };
  const root = await look("");
  if (root !== undefined) yield root;
  if (root?.metadata?.nodeType === "array") return;
  const paths: string[] = [];
  try {
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
  } catch (error) {
    // Too many nodes is about the whole store, though the code is not.
    if (onUnlisted === undefined || !isAboutOneObject(error) || isMillraceError(error, "STORE_UNSUPPORTED"))
      throw error;
    onUnlisted(error);
  }
  paths.sort();
  let found = root !== undefined;
  const ahead: Promise<FoundNode | undefined>[] = [];
  for (let next = 0; next < paths.length || ahead.length > 0; ) {
    signal?.throwIfAborted();
    while (next < paths.length && ahead.length < READS_AT_ONCE) {
      const reading = look(paths[next++]);
      // Read ahead, it may fail before anybody waits for it.
      reading.catch(() => {});
      ahead.push(reading);
    }
    const node = await ahead.shift()!;
    if (node === undefined) continue;
    found = true;
    yield node;
  }
  if (!found) {
    throw new MillraceError("STORE_NOT_FOUND", `${store.location} holds no ${METADATA_NAME}: it is no Zarr v3 store.`, {
      context: { location: store.location },
    });
  }
}

/** {@link walkNodes}, collected. */
export async function walkStore(store: StoreReader, signal?: AbortSignal): Promise<StoreNodes> {
  const arrays: FoundArray[] = [];
  const groups: FoundGroup[] = [];
  const broken: { path: string; error: MillraceError }[] = [];
  for await (const { path, metadata, error } of walkNodes(store, { signal })) {
    if (error !== undefined) broken.push({ path, error });
    else if (metadata.nodeType === "array") arrays.push({ path, metadata });
    else groups.push({ path, metadata });
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
