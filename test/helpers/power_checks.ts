import { expect } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import type { RecoverReport } from "../../src/recover/report.js";
import { FileSink } from "../../src/sinks/file.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { ROOT, rowsOf } from "./folder_crashes.js";
import { type PowerStream, type Promised, readableRows } from "./power_stream.js";
import type { RecordingFs } from "./recording_fs.js";

const NOTHING: Promised = { opened: false, durable: 0, published: 0 };

/**
 * Recovery as a user runs it; undefined where there is nothing at all. @param force the process that the marker names
 * is this one
 */
export async function recoverImage(fs: RecordingFs, force = false): Promise<RecoverReport | undefined> {
  try {
    return await recoverFiles(ROOT, { force }, fs);
  } catch (error) {
    if (isMillraceError(error, "STORE_NOT_FOUND")) return undefined;
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

/** What an overwrite has left can be overwritten again, and what is empty can be written to. */
async function checkWayOn(fs: RecordingFs): Promise<void> {
  const keys = [...fs.files(ROOT).keys()];
  const sink = new FileSink({ root: ROOT, fs: fs.copy() });
  await sink.open(keys.length > 0 ? "overwrite" : "create");
  await sink.close();
}

/**
 * Everything that durability "shard" and "batch" promise of what a power cut leaves: readers see what was published,
 * before anybody recovers it; recovery brings back what was durable, leaves nothing behind, and done again it changes
 * nothing. Returns the recovered file system; `image` stays as it is. `fs.log` of the result holds what recovery did.
 */
export async function checkPowerCut(image: RecordingFs, promised: Promised, stream: PowerStream): Promise<RecordingFs> {
  const { content, rowBytes, overwritten } = stream;
  const fs = image.copy();
  const before = image.files(ROOT);
  const metadata = before.get("zarr.json");
  if (metadata === undefined) {
    expect(promised, "no zarr.json").toMatchObject(NOTHING);
    const report = await recoverImage(fs);
    expect(report?.status).toBe(before.has(MARKER_KEY) ? "nothing-to-recover" : undefined);
    await checkWayOn(fs);
    return fs;
  }
  if (overwritten !== undefined && Buffer.compare(metadata, overwritten.metadata) === 0) {
    // Not begun: then it is as it was.
    expect(promised, "the old zarr.json").toMatchObject(NOTHING);
    expect((await recoverImage(fs))?.status).toBe("clean");
    expect(fs.log).toEqual([]);
    await checkWayOn(fs);
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

/**
 * What holds at durability "none": nothing but that everybody says what is wrong, and that what recovery adds is right.
 */
export interface UnsyncedOutcome {
  /** Shards that readers see, and that are not as their writer meant them. */
  readonly torn: number;
  /** Of those, the ones of which verify says so. */
  readonly found: number;
  readonly refused: boolean;
}

export async function checkUnsynced(image: RecordingFs, stream: PowerStream): Promise<UnsyncedOutcome> {
  const fs = image.copy();
  const rowsBefore = readableRows(fs);
  let refused = false;
  try {
    await recoverImage(fs);
  } catch (error) {
    // The marker, the metadata or a journal is torn: it says so, and leaves the store alone.
    if (!isMillraceError(error) || !["STORE_UNSUPPORTED", "STORE_CORRUPT"].includes(error.code)) throw error;
    refused = true;
    expect(fs.log).toEqual([]);
  }
  const files = fs.files(ROOT);
  if (!files.has("zarr.json")) return { torn: 0, found: 0, refused };
  const { ok, defects } = await verifyStore(files, { threads: 0 });
  const rows = readableRows(fs);
  if (rows === undefined) {
    expect(ok, "a torn zarr.json").toBe(false);
    return { torn: 0, found: 0, refused };
  }
  let torn = 0;
  let found = 0;
  const [meant, old, asLeft] = [stream.end, stream.base, image].map((end) => end.files(ROOT));
  for (const [key, bytes] of files) {
    const whole = meant.get(key);
    if (!/^c[\d/]+$/.test(key) || whole === undefined || isSame(bytes, whole) || isSame(bytes, old.get(key))) continue;
    // Recovery makes shards of what was not sealed: with fewer chunks, and right.
    if (!isSame(bytes, asLeft.get(key))) continue;
    const isFound = defects.some((defect) => defect.key === key);
    torn++;
    if (isFound) found++;
    // Chunks without a checksum of their own are not all that can be told; the rest is.
    const indexBytes = 16 * stream.chunksPerShard + 4;
    const hasIndex = Buffer.compare(bytes.subarray(-indexBytes), whole.subarray(-indexBytes)) === 0;
    if (!hasIndex || bytes.length !== whole.length) expect(isFound, `verify finds ${key}`).toBe(true);
  }
  if (rowsBefore !== undefined && rows > rowsBefore) await checkAdded(fs, rowsBefore, stream);
  return { torn, found, refused };
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}

async function checkAdded(fs: RecordingFs, from: number, { content, rowBytes }: PowerStream): Promise<void> {
  const array = await openArray(fs.files(ROOT));
  const { shape } = array.metadata;
  const { data } = await array.readRegion([from, ...shape.slice(1).map(() => 0)], shape);
  const expected = content.subarray(from * rowBytes, shape[0] * rowBytes);
  expect(Buffer.compare(data, expected), "rows that recovery has added").toBe(0);
}

/**
 * At durability "none", a recovery that is done has put on the medium what it found: the rows that it has added, and
 * their number.
 */
export async function checkKept(
  image: RecordingFs,
  { published, addedFrom = 0 }: Promised,
  stream: PowerStream,
): Promise<void> {
  expect(readableRows(image)).toBe(published);
  await checkAdded(image, addedFrom, stream);
}
