import { expect } from "vitest";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import type { RecoverReport } from "../../src/recover/report.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { ROOT, rowsOf } from "./folder_crashes.js";
import { isOurs, type PowerStream, type Promised } from "./power_stream.js";
import type { RecordingFs } from "./recording_fs.js";

/** Recovery as a user runs it; undefined where there is nothing at all. */
export async function recoverImage(fs: RecordingFs): Promise<RecoverReport | undefined> {
  try {
    return await recoverFiles(ROOT, {}, fs);
  } catch (error) {
    if (isOurs(error) && error.code === "STORE_NOT_FOUND") return undefined;
    throw error;
  } finally {
    expect(fs.openHandles).toBe(0);
  }
}

/** That a store can be read to the end of its shape, is right, and has no defect. Returns its rows. */
async function checkReadable(fs: RecordingFs, content: Uint8Array, rowBytes: number, when: string): Promise<number> {
  const files = fs.files(ROOT);
  const rows = rowsOf(fs);
  expect(rows * rowBytes, `rows ${when}`).toBeLessThanOrEqual(content.length);
  const { data } = await (await openArray(files)).readRegion();
  expect(Buffer.compare(data, content.subarray(0, rows * rowBytes)), `values ${when}`).toBe(0);
  const { defects } = await verifyStore(files, { threads: 0 });
  expect(defects, `defects ${when}`).toEqual([]);
  return rows;
}

/**
 * Everything that durability "shard" and "batch" promise of what a power cut leaves: readers see what was published, before anybody recovers it;
 * recovery brings back what was durable, leaves nothing behind, and done again it changes nothing. Returns the recovered file system; `image` stays
 * as it is. `fs.log` of the result holds what recovery did.
 */
export async function checkPowerCut(image: RecordingFs, promised: Promised, stream: PowerStream): Promise<RecordingFs> {
  const { content, rowBytes, overwritten } = stream;
  const fs = image.copy();
  const before = image.files(ROOT);
  const metadata = before.get("zarr.json");
  if (metadata === undefined) {
    expect(promised, "no zarr.json, though rows were promised").toEqual({ durable: 0, published: 0 });
    const report = await recoverImage(fs);
    expect(report?.status).toBe(before.has(MARKER_KEY) ? "nothing-to-recover" : undefined);
    return fs;
  }
  if (overwritten !== undefined && Buffer.compare(metadata, overwritten.metadata) === 0) {
    // Not begun: then it is as it was.
    expect(promised).toEqual({ durable: 0, published: 0 });
    await checkReadable(image, overwritten.content, rowBytes, "of the store that is to be overwritten");
    return fs;
  }
  const rowsBefore = await checkReadable(image, content, rowBytes, "before recovery");
  expect(rowsBefore, "published rows").toBeGreaterThanOrEqual(promised.published);

  const report = await recoverImage(fs);
  expect(report?.status).toBe(before.has(MARKER_KEY) ? "recovered" : "clean");
  expect(report?.notes).toEqual([]);
  expect(report?.arrays.every(({ damage }) => damage === undefined)).toBe(true);
  const rows = await checkReadable(fs, content, rowBytes, "after recovery");
  expect(rows, "durable rows").toBeGreaterThanOrEqual(Math.max(rowsBefore, promised.durable));
  const left = [...fs.files(ROOT).keys()].filter((key) => /\.millrace|\.partial$|\.tmp$|overwritten$/.test(key));
  expect(left, "left over").toEqual([]);

  const again = fs.copy();
  expect((await recoverImage(again))?.status).toBe("clean");
  expect(again.log, "changes of a second recovery").toEqual([]);
  return fs;
}
