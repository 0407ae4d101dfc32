import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { innerShardGrid } from "../geometry/chunk_grid.js";
import { PARTIAL_SUFFIX } from "../sinks/object_key.js";
import { parseChunkKey } from "../zarr/chunk_key.js";
import type { RecoveryFiles } from "./recovery_files.js";
import type { Steps } from "./steps.js";

/**
 * The shards of a folder's array, whole and unfinished ones. Others' files are not in it. Memory grows with what is not
 * published yet.
 */
export class FileCensus {
  /** Sealed shards of rows before the first that recovery looks at. */
  sealedBefore = 0;
  /** Keys of sealed shards from that row on, by row of shards. */
  readonly sealed = new Map<number, Set<string>>();
  /** Keys of shards with an unfinished file, of any row. */
  readonly partial = new Map<number, Set<string>>();
  /** Folders of shards from the first row on, also empty ones. */
  readonly folders: string[] = [];

  /** @param first row of shards that recovery begins with */
  static async take(files: RecoveryFiles, g: ArrayGeometry, first: number, steps: Steps): Promise<FileCensus> {
    const census = new FileCensus();
    const grid = innerShardGrid(g);
    const look = async (folder: string, depth: number): Promise<void> => {
      if (depth === g.rank && (g.rank === 1 || Number(folder.split("/")[1]) >= first)) census.folders.push(folder);
      for (const { name, isFolder } of await files.entries(folder)) {
        const path = `${folder}/${name}`;
        if (isFolder) {
          if (depth < g.rank) await look(path, depth + 1);
          continue;
        }
        const isPartial = name.endsWith(PARTIAL_SUFFIX);
        const key = isPartial ? path.slice(0, -PARTIAL_SUFFIX.length) : path;
        const at = parseChunkKey(key, g.rank);
        if (!at?.slice(1).every((c, d) => c < grid[d])) continue;
        if (isPartial) put(census.partial, at[0], key);
        else if (at[0] < first) census.sealedBefore++;
        else put(census.sealed, at[0], key);
        steps.did("list");
      }
    };
    // A stream that came to no shard has no folder for them.
    if ((await files.kindOf("c")) === "folder") await look("c", 1);
    return census;
  }
}

function put(rows: Map<number, Set<string>>, row: number, key: string): void {
  const keys = rows.get(row);
  if (keys === undefined) rows.set(row, new Set([key]));
  else keys.add(key);
}
