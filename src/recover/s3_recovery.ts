import { MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { decodeMarker, MARKER_KEY, type WriterMarker } from "../journal/writer_marker.js";
import type { S3Api } from "../s3/s3_api.js";
import { hasLanded } from "../s3/shard_upload.js";
import { WRITE_ID_NAME } from "../s3/write_id.js";
import { S3Store } from "../store/s3_store.js";
import { ancestors, walkStore } from "../store/walk.js";
import { memberKey } from "../zarr/chunk_key.js";
import { parseArrayMetadata } from "../zarr/parse_metadata.js";
import { withRows } from "../zarr/with_rows.js";
import { abortUploads } from "./abort_uploads.js";

import { type ArrayPlan, planArray } from "./array_plan.js";
import { frozenReport } from "./frozen_report.js";
import type { RecoveredArray, RecoverOptions, RecoverReport } from "./report.js";
import { ownerOf, ShardCensus } from "./shard_census.js";
import { Steps } from "./steps.js";

/** Keys of one request. */
const REMOVED_AT_ONCE = 1000;

/**
 * Brings a store on S3 to the state that a clean close would have left, with the rows that are complete.
 *
 *     marker ─ metadata ─ abort uploads ─ list shards ─ check indexes ─ publish ─ remove shards ─ remove the marker
 *
 * The order is what makes it safe to be interrupted anywhere and run again: the shape is published before anything is
 * removed, and the marker, which says that there is something to recover, goes last.
 *
 * @throws MillraceError as `recoverStore`
 */
export async function recoverS3(api: S3Api, options: RecoverOptions = {}): Promise<RecoverReport> {
  const steps = new Steps(options);
  steps.signal?.throwIfAborted();
  const bytes = await api.get(MARKER_KEY);
  const hasRoot = (await api.head(METADATA_NAME)) !== undefined;
  if (bytes !== undefined) {
    const marker = decodeMarker(bytes);
    if (marker === undefined) {
      throw new MillraceError("STORE_UNSUPPORTED", `${api.location}/${MARKER_KEY} is no marker that is known here.`, {
        context: { location: api.location, key: MARKER_KEY },
        hint: "Recover the store with the version of Millrace that has written it.",
      });
    }
    const recovery = new S3Recovery(api, steps, marker, bytes);
    return hasRoot ? await recovery.run() : await recovery.clearUp();
  }
  if (hasRoot) return frozenReport(api.location, steps, "clean");
  throw new MillraceError(
    "STORE_NOT_FOUND",
    `${api.location} holds neither ${METADATA_NAME} nor the marker of a writer.`,
    {
      context: { location: api.location },
      hint: "Check bucket and prefix.",
    },
  );
}

class S3Recovery {
  constructor(
    private readonly api: S3Api,
    private readonly steps: Steps,
    private readonly marker: WriterMarker,
    private readonly markerBytes: Uint8Array,
  ) {}

  async run(): Promise<RecoverReport> {
    const { api, steps, marker } = this;
    // Before anything is touched: a store that cannot be understood is left as it is.
    const arrays = await this.#findArrays();
    // Before the list: it would lack what an upload makes whole afterwards.
    await abortUploads(api, steps, (key) => ownerOf(key, arrays)?.rowOf(key) !== undefined);
    for await (const { key, bytes } of api.list("")) {
      const array = ownerOf(key, arrays);
      const row = array?.rowOf(key);
      if (row !== undefined) array?.add(row, key, bytes);
      steps.did("list");
    }
    const plans: ArrayPlan[] = [];
    for (const array of arrays.values()) plans.push(await planArray(api, array, steps));
    for (const plan of plans) await this.#publish(plan.report);

    const unsettled = plans.some((plan) => plan.unsettled);
    await this.#checkMarker();
    await this.#remove(plans.flatMap(({ doomed }) => doomed));
    if (!unsettled) await this.#remove([MARKER_KEY]);
    const reports = plans.map((plan) => plan.report);
    return frozenReport(api.location, steps, unsettled ? "damaged" : "recovered", marker, reports);
  }

  /**
   * A marker without a store. Its writer died before it put the first zarr.json, or while it removed the store that was
   * there before; or somebody has removed zarr.json. In the last two cases objects are left, and the marker is what
   * lets an overwrite begin again.
   */
  async clearUp(): Promise<RecoverReport> {
    const { api, steps, marker } = this;
    const others: string[] = [];
    const inner: string[] = [];
    for await (const { key } of api.list("")) {
      if (key.endsWith(`/${MARKER_KEY}`)) inner.push(key.slice(0, -MARKER_KEY.length));
      if (key !== MARKER_KEY) others.push(key);
      steps.did("list");
    }
    await abortUploads(api, steps, (key) => !inner.some((folder) => key.startsWith(folder)));
    await this.#checkMarker();
    if (others.length === 0) await this.#remove([MARKER_KEY]);
    else {
      steps.notes.push(
        `there is no ${METADATA_NAME}, but there are ${others.length} other objects (${others[0]} …): they stay, ` +
          'and so does the marker. A writer opened with mode "overwrite" removes them.',
      );
    }
    return frozenReport(api.location, steps, "nothing-to-recover", marker);
  }

  async #findArrays(): Promise<ReadonlyMap<string, ShardCensus>> {
    const { api, steps, marker } = this;
    const nodes = await walkStore(new S3Store(api.location, async () => api), steps.signal);
    if (nodes.broken.length > 0) throw nodes.broken[0].error;
    const arrays = new Map<string, ShardCensus>();
    for (const array of nodes.arrays) {
      const inner = await this.#innerStoreOf(array.path);
      // The marker has one length: that of the array which its writer streams, the root.
      const endsAt = array.path === "" ? marker.endsAt : undefined;
      if (inner === undefined) arrays.set(array.path, new ShardCensus(array, endsAt));
      else steps.notes.push(`${array.path} is left alone: ${inner} has a marker of its own.`);
    }
    return arrays;
  }

  /** A store inside this one that a node belongs to: its writer may be alive, and its uploads are not to be touched. */
  async #innerStoreOf(path: string): Promise<string | undefined> {
    const paths = path === "" ? [] : [path, ...ancestors(path).filter((above) => above !== "")];
    for (const above of paths) {
      if ((await this.api.head(memberKey(above, MARKER_KEY))) !== undefined) return above;
    }
    return undefined;
  }

  async #publish({ path, rowsBefore, rowsAfter }: RecoveredArray): Promise<void> {
    const { api, steps } = this;
    if (rowsAfter === rowsBefore) return;
    if (!steps.dryRun) {
      const key = memberKey(path, METADATA_NAME);
      const head = await api.head(key);
      const bytes = await api.get(key);
      if (head === undefined || bytes === undefined || parseArrayMetadata(bytes, key).shape[0] !== rowsBefore) {
        throw this.#changed(key);
      }
      const longer = withRows(bytes, rowsAfter);
      const writeId = `${crypto.randomUUID()}.1`;
      const metadata = { ...head.metadata, [WRITE_ID_NAME]: writeId };
      try {
        await api.putObject(key, longer, { metadata, contentType: "application/json" });
      } catch (error) {
        if (!(await hasLanded(api, key, writeId, longer.byteLength, error))) throw error;
      }
    }
    steps.did("publish");
  }

  /** Somebody who began to write here meanwhile has put a marker of their own. */
  async #checkMarker(): Promise<void> {
    if (this.steps.dryRun) return;
    const bytes = await this.api.get(MARKER_KEY);
    if (bytes === undefined || Buffer.compare(bytes, this.markerBytes) !== 0) throw this.#changed(MARKER_KEY);
  }

  async #remove(keys: readonly string[]): Promise<void> {
    const { api, steps } = this;
    for (let at = 0; at < keys.length; at += REMOVED_AT_ONCE) {
      const some = keys.slice(at, at + REMOVED_AT_ONCE);
      if (!steps.dryRun) await api.remove(some);
      steps.did("remove", some.length);
    }
  }

  #changed(key: string): MillraceError {
    const { location } = this.api;
    return new MillraceError("S3_CONFLICT", `${key} of ${location} has changed while the store was recovered.`, {
      context: { location, key },
      hint: "A writer, or another recovery, is at work: end it, then recover again. Nothing was removed.",
    });
  }
}
