import { join } from "node:path";
import { METADATA_NAME } from "../base/metadata_name.js";
import { decodeMarker, MARKER_KEY } from "../journal/writer_marker.js";
import { type FileSystem, nodeFileSystem } from "../sinks/file_system.js";
import { refuseAtWork } from "../sinks/refuse_at_work.js";
import { memberKey } from "../zarr/chunk_key.js";
import { recoverFiles } from "./file_recovery.js";
import { findStores, storesBelow } from "./find_stores.js";
import { type ChildReport, mergeReports, summedProgress } from "./merge_reports.js";
import { RecoveryFiles } from "./recovery_files.js";
import type { RecoverOptions, RecoverReport } from "./report.js";

/**
 * Recovers the store in a folder, or where that is a group the stores below it, one after another: each has its own
 * writer, marker and
 * journals. None is touched while the writer of any is at work.
 * @param root absolute path
 * @throws MillraceError as `recoverStore`
 */
export async function recoverFolder(
  root: string,
  options: RecoverOptions = {},
  fs: FileSystem = nodeFileSystem,
): Promise<RecoverReport> {
  const { signal, force } = options;
  signal?.throwIfAborted();
  const files = new RecoveryFiles(fs, root);
  const hasMarker = (await files.kindOf(MARKER_KEY)) !== "absent";
  const hasNode = (await files.kindOf(METADATA_NAME)) !== "absent";
  const { marked, nodes } = await findStores(files, signal);
  const below = marked.filter((path) => path !== "");
  if (hasMarker) {
    const report = await recoverFiles(root, options, fs);
    const notes = below.map((path) => `${path} has a writer's marker of its own: recover it by its own path.`);
    return notes.length === 0
      ? report
      : Object.freeze({ ...report, notes: Object.freeze([...report.notes, ...notes]) });
  }
  const stores = [...new Set([...nodes, ...below])].sort();
  if (!hasNode && stores.length > 0) throw storesBelow(root, stores);
  if (below.length === 0) return await recoverFiles(root, options, fs);
  if (!force) for (const path of below) await refuseChild(files, path, below);
  const next = summedProgress(options);
  const children: ChildReport[] = [];
  for (const path of below) children.push({ path, report: await recoverFiles(join(root, path), next(), fs) });
  return mergeReports(root, children);
}

async function refuseChild(files: RecoveryFiles, path: string, stores: readonly string[]): Promise<void> {
  const bytes = await files.read(memberKey(path, MARKER_KEY));
  const apart =
    stores.length === 1 ? "" : " Nothing was changed; the other stores can be recovered by their own paths.";
  const otherwise = `If it is not a writer of this store, recover with force: true (--force).${apart}`;
  await refuseAtWork(join(files.root, path), bytes && decodeMarker(bytes), otherwise);
}
