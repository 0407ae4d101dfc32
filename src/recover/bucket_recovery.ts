import { METADATA_NAME } from "../base/metadata_name.js";
import { MARKER_KEY } from "../journal/writer_marker.js";
import { prefixedApi } from "../s3/prefixed_api.js";
import type { S3Api } from "../s3/s3_api.js";
import { isGroup, storesBelow } from "./find_stores.js";
import { type ChildReport, mergeReports, summedProgress } from "./merge_reports.js";
import type { RecoverOptions, RecoverReport } from "./report.js";
import { recoverS3 } from "./s3_recovery.js";

/** Keys that are looked at for the names in a message, where there is no store. */
const LOOKED_MAX = 10_000;

/**
 * Recovers the store at a place on S3, or where that is a group that no writer has open the stores below it, one
 * after another: each has
 * its own writer and marker.
 * @throws MillraceError as `recoverStore`
 */
export async function recoverBucket(api: S3Api, options: RecoverOptions = {}): Promise<RecoverReport> {
  const { signal } = options;
  signal?.throwIfAborted();
  if ((await api.head(MARKER_KEY)) !== undefined) return await recoverS3(api, options);
  const metadata = await api.get(METADATA_NAME);
  if (metadata === undefined) {
    const stores = await namesBelow(api, signal);
    if (stores.length > 0) throw storesBelow(api.location, stores);
  }
  // Of an array nothing is listed: Zarr has no nodes below one, and shards there may be millions.
  const marked = isGroup(metadata) ? await markersBelow(api, signal) : [];
  if (marked.length === 0) return await recoverS3(api, options);
  const next = summedProgress(options);
  const children: ChildReport[] = [];
  for (const path of marked) children.push({ path, report: await recoverS3(prefixedApi(api, path), next()) });
  return mergeReports(api.location, children);
}

async function markersBelow(api: S3Api, signal: AbortSignal | undefined): Promise<string[]> {
  const paths: string[] = [];
  for await (const { key } of api.list("")) {
    signal?.throwIfAborted();
    if (key.endsWith(`/${MARKER_KEY}`)) paths.push(key.slice(0, -MARKER_KEY.length - 1));
  }
  return paths;
}

async function namesBelow(api: S3Api, signal: AbortSignal | undefined): Promise<string[]> {
  const names = new Set<string>();
  let looked = 0;
  for await (const { key } of api.list("")) {
    signal?.throwIfAborted();
    for (const name of [METADATA_NAME, MARKER_KEY]) {
      if (key.endsWith(`/${name}`)) names.add(key.slice(0, -name.length - 1));
    }
    if (++looked === LOOKED_MAX) break;
  }
  return [...names].sort();
}
