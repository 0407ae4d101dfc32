import { MillraceError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import {
  decodeMarker,
  JOURNAL_FOLDER,
  journalKey,
  MARKER_KEY,
  parseJournalName,
  type WriterMarker,
} from "../journal/writer_marker.js";
import { type FileSystem, nodeFileSystem } from "../sinks/file_system.js";
import { PARTIAL_SUFFIX, TEMPORARY_SUFFIX } from "../sinks/object_key.js";
import { refuseAtWork } from "../sinks/refuse_at_work.js";
import { ancestors } from "../store/walk.js";
import { parseArrayMetadata, storedGeometry } from "../zarr/parse_metadata.js";
import { withRows } from "../zarr/with_rows.js";
import { type FilePlan, planFiles } from "./file_plan.js";
import { frozenReport } from "./frozen_report.js";
import { withoutRoom } from "./make_room.js";
import { RecoveryFiles, SHARD_COPY_KEY } from "./recovery_files.js";
import type { RecoveredArray, RecoverOptions, RecoverReport } from "./report.js";
import { RowLedger } from "./row_ledger.js";
import { type RowPlan, shardKeyOf } from "./row_plan.js";
import { Steps } from "./steps.js";

const TEMPORARY_METADATA = METADATA_NAME + TEMPORARY_SUFFIX;

/**
 * Brings a store in a folder to the state that a clean close would have left, with every epoch that is whole.
 *
 *     marker ─ metadata ─ journals ─ check chunks ─ remove what is not kept ─ make shards whole ─ publish ─ remove
 * journals ─ marker
 *
 * The order is what makes it safe to be interrupted at any call and run again: what is kept depends on the journals and
 * on bytes that no step changes, the shape is published before a journal is removed, and the marker, which says that
 * there is something to recover, goes last. What is not kept goes first, because the disk may be full.
 *
 * @param root absolute path of the store's folder
 * @throws MillraceError as `recoverStore`
 */
export async function recoverFiles(
  root: string,
  options: RecoverOptions = {},
  fs: FileSystem = nodeFileSystem,
): Promise<RecoverReport> {
  const steps = new Steps(options);
  steps.signal?.throwIfAborted();
  const files = new RecoveryFiles(fs, root);
  const markerBytes = await files.read(MARKER_KEY);
  const metadata = await files.read(METADATA_NAME);
  if (markerBytes === undefined) {
    if (metadata !== undefined) return frozenReport(root, steps, "clean");
    throw new MillraceError("STORE_NOT_FOUND", `${root} holds neither ${METADATA_NAME} nor the marker of a writer.`, {
      context: { path: root },
      hint: "Check the path.",
    });
  }
  const marker = decodeMarker(markerBytes);
  if (marker === undefined && metadata !== undefined && !options.force && !(await isJustBegun(files, markerBytes))) {
    throw strangeMarker(root);
  }
  if (!options.force) {
    const otherwise = "If it is not a writer of this store, recover with force: true (--force).";
    await refuseAtWork(root, marker, otherwise);
  }
  const recovery = new FileRecovery(files, steps, marker, markerBytes);
  return metadata === undefined ? await recovery.clearUp() : await recovery.run(metadata);
}

/**
 * A power cut has torn a marker that was just being put into a store that was closed before: it is on the medium before
 * anything else happens, the first journal too. A marker of another version can be read as JSON.
 */
async function isJustBegun(files: RecoveryFiles, marker: Uint8Array): Promise<boolean> {
  if ((await journalRows(files)).length > 0) return false;
  try {
    JSON.parse(Buffer.from(marker).toString());
    return false;
  } catch {
    return true;
  }
}

async function journalRows(files: RecoveryFiles): Promise<number[]> {
  const names = await files.entries(JOURNAL_FOLDER);
  return names.flatMap(({ name }) => parseJournalName(name) ?? []).sort((a, b) => a - b);
}

class FileRecovery {
  constructor(
    private readonly files: RecoveryFiles,
    private readonly steps: Steps,
    private readonly marker: WriterMarker | undefined,
    private readonly markerBytes: Uint8Array,
  ) {}

  async run(metadata: Uint8Array): Promise<RecoverReport> {
    const { files, steps, marker } = this;
    // Before anything is touched: a store that cannot be understood is left as it is.
    const array = parseArrayMetadata(metadata, METADATA_NAME);
    const geometry = storedGeometry(array, METADATA_NAME);
    const { name, separator } = array.keyEncoding;
    if (array.index?.location !== "end" || !array.index.checksum || name !== "default" || separator !== "/") {
      throw new MillraceError("STORE_UNSUPPORTED", `${METADATA_NAME} describes shards that Millrace did not write.`, {
        context: { path: files.root, key: METADATA_NAME },
      });
    }
    const plan = await planFiles({
      files,
      steps,
      geometry,
      rowsPublished: array.shape[0],
      journals: await journalRows(files),
      ledger: (row) => this.#ledger(row, geometry),
    });
    await this.#checkMarker();
    await this.#keepJournals(plan.rows);
    await this.#makeRoom(plan, geometry);
    await withoutRoom(files, plan.report, async () => {
      for (const row of plan.rows) await this.#makeWhole(row, geometry);
      await this.#publish(metadata, plan.report);
    });
    await this.#checkMarker();
    await this.#remove(plan.journals.map(journalKey), [JOURNAL_FOLDER]);
    if (!plan.unsettled) await this.#removeMarker();
    return frozenReport(files.root, steps, plan.unsettled ? "damaged" : "recovered", marker, [plan.report]);
  }

  /**
   * A marker without a store: its writer died before it put the first zarr.json, or while it removed the store that was
   * there before.
   */
  async clearUp(): Promise<RecoverReport> {
    const { files, steps, marker } = this;
    const others: string[] = [];
    for (const { name } of await files.entries("")) {
      if (name !== JOURNAL_FOLDER && name !== TEMPORARY_METADATA) others.push(name);
      steps.did("list");
    }
    await this.#checkMarker();
    if (others.length > 0) {
      steps.notes.push(
        `there is no ${METADATA_NAME}, but there are other things (${others[0]} …): they stay, and so does the ` +
          'marker. A writer opened with mode "overwrite" removes them.',
      );
    } else {
      await this.#removeTemporary();
      await this.#remove((await journalRows(files)).map(journalKey), [JOURNAL_FOLDER]);
      await this.#removeMarker();
    }
    return frozenReport(files.root, steps, "nothing-to-recover", marker);
  }

  async #ledger(row: number, g: ArrayGeometry): Promise<RowLedger> {
    const bytes = (await this.files.read(journalKey(row))) ?? new Uint8Array(0);
    return new RowLedger(row, bytes, g, this.marker?.writeId);
  }

  /** Or a power cut could take a journal that was never synced, while shards are whole that only it accounts for. */
  async #keepJournals(rows: readonly RowPlan[]): Promise<void> {
    if (this.steps.dryRun || rows.length === 0) return;
    for (const { row } of rows) await this.files.sync(journalKey(row));
    await this.files.syncFolder(JOURNAL_FOLDER);
  }

  /**
   * The disk may be full: before anything is written, everything goes that is not kept. Planning again comes to the
   * same, since what goes holds
   * no chunk that a kept epoch needs, and journals, which tell what was committed, stay.
   */
  async #makeRoom({ doomed, folders, rows, report }: FilePlan, g: ArrayGeometry): Promise<void> {
    const { files, steps } = this;
    await this.#remove(doomed, folders);
    // Publishing will use its name, and leaves none.
    if (report.rowsAfter === report.rowsBefore) await this.#removeTemporary();
    if (steps.dryRun) return;
    if (report.rowsAfter !== report.rowsBefore) await files.remove(TEMPORARY_METADATA);
    for (const { row, epochs, actions = [] } of rows) {
      if (!actions.includes("seal")) continue;
      const ledger = await this.#ledger(row, g);
      for (const [s, action] of actions.entries()) {
        const target = ledger.shardOf(s, epochs);
        if (action === "seal" && target !== undefined) {
          await files.cut(shardKeyOf(g, row, s) + PARTIAL_SUFFIX, target.dataBytes);
        }
      }
      await files.cut(journalKey(row), ledger.journal.bytesRead);
    }
  }

  /**
   * Gives every shard of a row its index, behind the chunks that are kept, and its name; then both are on the medium.
   */
  async #makeWhole({ row, epochs, actions = [] }: RowPlan, g: ArrayGeometry): Promise<void> {
    const { files, steps } = this;
    const ledger = await this.#ledger(row, g);
    const folders = new Map<number, Set<string>>();
    for (const [s, action] of actions.entries()) {
      const key = shardKeyOf(g, row, s);
      const target = ledger.shardOf(s, epochs);
      if (action === "none" || target === undefined) continue;
      if (!steps.dryRun) {
        if (action === "keep") {
          // Its writer may have ended before it synced the name: without the journals nothing would bring that back.
          await files.sync(key);
        } else {
          const partial = key + PARTIAL_SUFFIX;
          if (action === "reseal") {
            // Under its own name it would be a torn shard while it is cut, for a power cut too.
            await files.rename(key, partial);
            await files.syncFolder(ancestors(key)[0]);
          }
          await files.finish(partial, target.dataBytes, target.index);
          await files.rename(partial, key);
        }
        for (const [depth, path] of ancestors(key).entries())
          folders.set(depth, (folders.get(depth) ?? new Set()).add(path));
      }
      if (action !== "keep") steps.did("seal");
    }
    // From the innermost up: names of folders that the writer had made need not be on the medium either.
    for (const paths of folders.values()) for (const path of paths) await files.syncFolder(path);
  }

  async #publish(metadata: Uint8Array, { rowsBefore, rowsAfter }: RecoveredArray): Promise<void> {
    const { files, steps } = this;
    if (rowsAfter === rowsBefore) {
      // As its writer has left it, perhaps before it was synced.
      if (!steps.dryRun) {
        await files.sync(METADATA_NAME);
        await files.syncFolder("");
      }
      return;
    }
    if (!steps.dryRun) {
      const bytes = await files.read(METADATA_NAME);
      if (bytes === undefined || Buffer.compare(bytes, metadata) !== 0) throw this.#changed(METADATA_NAME);
      await files.put(METADATA_NAME, withRows(metadata, rowsAfter));
    }
    steps.did("publish");
  }

  /** Somebody who began to write here meanwhile has put a marker of their own. */
  async #checkMarker(): Promise<void> {
    if (this.steps.dryRun) return;
    const bytes = await this.files.read(MARKER_KEY);
    if (bytes === undefined || Buffer.compare(bytes, this.markerBytes) !== 0) throw this.#changed(MARKER_KEY);
  }

  async #removeTemporary(): Promise<void> {
    if ((await this.files.kindOf(TEMPORARY_METADATA)) === "other") await this.#remove([TEMPORARY_METADATA]);
  }

  /**
   * The files are gone for good, and what was removed from these folders before: a power cut does not bring them back.
   */
  async #remove(keys: readonly string[], alsoIn: readonly string[] = []): Promise<void> {
    const { files, steps } = this;
    const folders = new Set(steps.dryRun ? [] : alsoIn);
    for (const key of keys) {
      if (!steps.dryRun) {
        await files.remove(key);
        folders.add(ancestors(key)[0]);
      }
      steps.did("remove");
    }
    for (const folder of folders) await files.syncFolder(folder);
  }

  async #removeMarker(): Promise<void> {
    // An earlier recovery was interrupted.
    if ((await this.files.kindOf(SHARD_COPY_KEY)) === "other") await this.#remove([SHARD_COPY_KEY]);
    await this.#remove([MARKER_KEY]);
    if (!this.steps.dryRun) await this.files.removeFolder(JOURNAL_FOLDER);
  }

  #changed(key: string): MillraceError {
    const { root } = this.files;
    return new MillraceError("STORE_IN_USE", `${key} of ${root} has changed while the store was recovered.`, {
      context: { path: root, key },
      hint: "A writer, or another recovery, is at work: end it, then recover again. Nothing was removed.",
    });
  }
}

function strangeMarker(root: string): MillraceError {
  return new MillraceError("STORE_UNSUPPORTED", `${root}/${MARKER_KEY} is no marker that is known here.`, {
    context: { path: root, key: MARKER_KEY },
    hint:
      "Recover the store with the version of Millrace that has written it. If a power cut has torn the marker, " +
      "which only happens without durability, recover with force: true (--force).",
  });
}
