import { hostname } from "node:os";
import { expect } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import type { OpenMode } from "../../src/handoff/sink.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../src/options.js";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import { FileSink } from "../../src/sinks/file.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { inlineSpec } from "./map_sink.js";
import { type FsCallAbout, type FsOperation, RecordingFs } from "./recording_fs.js";
import { expectVerified } from "./verified.js";

export const ROOT = "/data/run.zarr";

/** A folder as a crash at one moment would have left it, and what the writer had promised by then. */
export interface FolderImage {
  /** The moment, for messages. */
  readonly at: string;
  readonly fs: RecordingFs;
  readonly durable: number;
}

export interface CrashedFolder {
  /** What the whole array would hold: rows that were accepted, as bytes. */
  readonly content: Uint8Array;
  readonly rowBytes: number;
  readonly writer: ArrayWriter;
}

export interface FolderStream {
  readonly array: ArrayOptions;
  readonly durability?: Durability;
  readonly publishIntervalMs?: number;
  readonly batchEpochs?: number;
  readonly depth?: number;
  readonly mode?: OpenMode;
  /** Shard files open at once. */
  readonly maxOpenFiles?: number;
  /** Waits before a call takes effect. */
  readonly delay?: (call: FsCallAbout) => Promise<void> | void;
}

export type Feed = (writer: ArrayWriter) => Promise<Uint8Array>;

/** A writer on this thread into the folder of `fs`. */
export function openOn(fs: RecordingFs, stream: FolderStream): Promise<ArrayWriter> {
  const { array, durability, mode, maxOpenFiles, publishIntervalMs = 0, batchEpochs, depth } = stream;
  return openWriter({
    sink: inlineSpec(new FileSink({ root: ROOT, fs, maxOpenFiles })),
    threads: "inline",
    backend: "cpu",
    array,
    durability,
    mode,
    publishIntervalMs,
    batchEpochs,
    depth,
  });
}

/** Streams into a folder of `fs` and closes the writer. `feed` returns the content. */
export async function streamInto(
  fs: RecordingFs,
  stream: FolderStream,
  feed: Feed,
  onOpen: (writer: ArrayWriter) => void = () => {},
): Promise<CrashedFolder> {
  fs.before = stream.delay ?? (() => {});
  const writer = await openOn(fs, stream);
  onOpen(writer);
  const content = await feed(writer);
  await writer.close().catch((error: unknown) => {
    // The part of a row that is left is not stored; all else is.
    if (!isMillraceError(error, "INCOMPLETE_ROW")) throw error;
  });
  return { content, rowBytes: writer.geometry.rowBytes, writer };
}

/**
 * Streams into a folder, and hands over what a crash of the process would leave: before every change, where that is a
 * write also in the middle of it, and in the end. Images share nothing with each other.
 */
export async function crashFolder(
  stream: FolderStream,
  feed: Feed,
  fs = new RecordingFs(),
): Promise<CrashedFolder & { readonly images: readonly FolderImage[] }> {
  const images: FolderImage[] = [];
  let writer: ArrayWriter | undefined;
  const durable = (): number => writer?.watermarks.durable ?? 0;
  fs.onOperation = (operation) => {
    if (operation.op === "sync") return;
    images.push({ at: `before ${describe(operation)}`, fs: fs.copy(), durable: durable() });
    if (operation.op !== "write" || operation.bytes.length < 2) return;
    const torn = fs.copy();
    torn.apply({ ...operation, bytes: operation.bytes.subarray(0, operation.bytes.length >> 1) });
    images.push({ at: `in the middle of ${describe(operation)}`, fs: torn, durable: durable() });
  };
  const crashed = await streamInto(fs, stream, feed, (opened) => {
    writer = opened;
  });
  images.push({ at: "in the end", fs: fs.copy(), durable: durable() });
  return { ...crashed, images };
}

function describe(operation: FsOperation): string {
  if ("from" in operation) return `rename ${operation.from} to ${operation.to}`;
  if ("path" in operation) return `${operation.op} ${operation.path}`;
  return `${operation.op} of node ${operation.node}`;
}

/** Recovery on a copy of the file system. The marker names this process, which is not the crashed one. */
export function recoverOn(fs: RecordingFs, options: Parameters<typeof recoverFiles>[1] = {}) {
  return recoverFiles(ROOT, { force: true, ...options }, fs);
}

/** Published length; 0 where there is no store. */
export function rowsOf(fs: RecordingFs): number {
  const bytes = fs.files(ROOT).get("zarr.json");
  return bytes === undefined ? 0 : JSON.parse(Buffer.from(bytes).toString()).shape[0];
}

/**
 * Recovers a copy of the image and checks everything that recovery promises. Returns the recovered file system.
 * @param nothingLost the crash was one of the process alone: then every commit in a journal is kept
 * @param resumed the stream went on in a row of shards that was there: some of them may hold more than what is
 * published
 */
export async function checkRecoveredFolder(
  image: FolderImage,
  stream: CrashedFolder,
  nothingLost = true,
  resumed = false,
): Promise<RecordingFs> {
  const fs = image.fs.copy();
  const before = fs.files(ROOT);
  const rowsBefore = rowsOf(fs);
  const hadMarker = before.has(MARKER_KEY);
  if (!hadMarker && !before.has("zarr.json")) {
    expect(image.durable).toBe(0);
    await expect(recoverOn(fs)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    return fs;
  }
  const dry = await recoverOn(fs, { dryRun: true });
  expect(fs.log, "a dry run changes nothing").toEqual([]);
  const report = await recoverOn(fs);
  expect({ ...dry, dryRun: false }).toEqual(report);
  expect(fs.openHandles).toBe(0);
  const after = fs.files(ROOT);
  expect([...after.keys()].filter((key) => /\.millrace|\.partial$|\.tmp$/.test(key))).toEqual([]);
  if (!before.has("zarr.json")) {
    expect(image.durable).toBe(0);
    expect(report.status).toBe("nothing-to-recover");
    expect([...after.keys()]).toEqual([]);
    return fs;
  }
  expect(report.status).toBe(hadMarker ? "recovered" : "clean");
  expect(report.notes).toEqual([]);
  const rows = rowsOf(fs);
  if (hadMarker) {
    expect(report.arrays).toMatchObject([{ path: "", rowsBefore, rowsAfter: rows, damage: undefined }]);
    expect(report.arrays[0].shardsKept).toBe([...after.keys()].filter((key) => key.startsWith("c/")).length);
    if (nothingLost) expect(report.arrays[0].rowsLost).toBe(0);
    // Gone by being renamed: what publishing wrote over, and partial files that were sealed.
    const isRenamed = (key: string): boolean => {
      if (key === "zarr.json.tmp") return rows > rowsBefore;
      const sealed = key.slice(0, -".partial".length);
      return key.endsWith(".partial") && after.get(sealed) !== before.get(sealed);
    };
    const removed = [...before.keys()].filter((key) => !after.has(key) && !isRenamed(key));
    expect(report.objectsRemoved).toBe(removed.length);
  }
  expect(rows, "rows that were durable").toBeGreaterThanOrEqual(Math.max(rowsBefore, image.durable));
  expect(rows * stream.rowBytes).toBeLessThanOrEqual(stream.content.length);
  await expectContent(after, stream.content.subarray(0, rows * stream.rowBytes), resumed);
  return fs;
}

/** A store that is whole, and holds these values. */
export async function expectContent(
  files: ReadonlyMap<string, Uint8Array>,
  expected: Uint8Array,
  resumed = false,
): Promise<void> {
  await expectVerified(files, resumed);
  const { data } = await (await openArray(files)).readRegion();
  expect(Buffer.compare(data, expected), "recovered values").toBe(0);
}

/**
 * The process that the marker names is gone: as another boot of the machine would tell, or another machine. The text
 * keeps its length.
 */
export function rebooted(image: RecordingFs): RecordingFs {
  const marker = image.tree().find(({ path }) => path === `${ROOT}/${MARKER_KEY}`);
  if (marker?.bytes === undefined) return image;
  const text = Buffer.from(marker.bytes).toString("latin1");
  const name = JSON.stringify(hostname());
  const bytes = Buffer.from(text.replace(name, `"${"-".repeat(name.length - 2)}"`), "latin1");
  image.apply({ op: "write", node: marker.node, position: 0, bytes: new Uint8Array(bytes) });
  return image;
}
