import { isMillraceError } from "../../src/base/errors.js";
import type { OpenMode } from "../../src/handoff/sink.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../src/options.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { parseArrayMetadata } from "../../src/zarr/parse_metadata.js";
import { openOn, ROOT, rowsOf } from "./folder_crashes.js";
import { DISK_SIZES, type MediumSizes, PowerMedium } from "./power_medium.js";
import { type FsCallAbout, type FsOperation, RecordingFs } from "./recording_fs.js";
import { rowBytes, type Stretch } from "./resume_stream.js";

export interface PowerScene {
  readonly array: ArrayOptions;
  /** Rows one after the other; each stretch ends with a flush where `flushes` is set. */
  readonly rows: readonly Stretch[];
  readonly flushes?: boolean;
  readonly durability?: Durability;
  readonly mode?: OpenMode;
  /** How the stream ends. Default: it is closed. */
  readonly ends?: "close" | "abort";
  readonly batchEpochs?: number;
  readonly depth?: number;
  readonly publishIntervalMs?: number;
  readonly maxOpenFiles?: number;
  /** Default: as disks have them. */
  readonly sizes?: MediumSizes;
  /** Waits before a call takes effect. */
  readonly delay?: (call: FsCallAbout) => Promise<void> | void;
}

/** What the writer had said by a moment. */
export interface Promised {
  /** There is a store. */
  readonly opened: boolean;
  readonly durable: number;
  readonly published: number;
  /** Recovery has added the rows from here on; undefined: none. */
  readonly addedFrom?: number;
}

/** A stream, with everything it did to its medium. */
export interface PowerStream {
  /** What was there before. */
  readonly base: RecordingFs;
  readonly log: readonly FsOperation[];
  /** By the number of operations that are done; one more than there are operations. */
  readonly promised: readonly Promised[];
  readonly durability: Durability;
  readonly sizes: MediumSizes;
  /** What the whole array would hold: rows that were accepted, as bytes. */
  readonly content: Uint8Array;
  readonly rowBytes: number;
  readonly chunksPerShard: number;
  /** The store that is overwritten. */
  readonly overwritten: { readonly metadata: Uint8Array; readonly content: Uint8Array } | undefined;
  /** The file system as the writer left it, its last operations not synced. */
  readonly end: RecordingFs;
}

/** Streams into a copy of `base` and records it. `before`: content of the store that is resumed, or overwritten. */
export async function recordStream(
  scene: PowerScene,
  base = new RecordingFs(),
  before: Uint8Array = new Uint8Array(0),
): Promise<PowerStream> {
  const { array, mode, delay, durability } = scene;
  const fs = base.copy();
  const promised: Promised[] = [];
  let writer: ArrayWriter | undefined;
  const rowsBefore = mode === "resume" ? rowsOf(base) : 0;
  const promise = (): Promised => {
    const opened = writer !== undefined || mode === "resume";
    const { durable, published } = writer?.watermarks ?? { durable: rowsBefore, published: rowsBefore };
    return { opened, durable, published };
  };
  fs.onOperation = () => promised.push(promise());
  if (delay !== undefined) fs.before = delay;
  writer = await openOn(fs, scene);
  const parts = mode === "resume" ? [before] : [];
  let row = rowsBefore;
  for (const stretch of scene.rows) {
    const to = row + stretch.rows;
    if (stretch.skipped) {
      await writer.skip(stretch.rows);
      parts.push(filled(writer, stretch.rows, Number(array.fillValue ?? 0)));
    } else {
      const bytes = rowBytes(writer, row, to);
      await writer.append(bytes);
      parts.push(bytes);
    }
    row = to;
    if (scene.flushes) await writer.flush();
  }
  if (scene.ends === "abort") await writer.abort();
  else await writer.close();
  promised.push(promise());
  fs.onOperation = () => {};
  fs.before = () => {};
  return {
    base,
    log: [...fs.log],
    promised,
    durability: durability ?? "shard",
    sizes: scene.sizes ?? DISK_SIZES,
    content: new Uint8Array(Buffer.concat(parts)),
    rowBytes: writer.geometry.rowBytes,
    chunksPerShard: writer.geometry.chunksPerShard,
    overwritten: mode === "overwrite" ? { metadata: base.files(ROOT).get("zarr.json")!, content: before } : undefined,
    end: fs,
  };
}

/** Rows of the fill value; dtypes of one or two bytes. */
function filled(writer: ArrayWriter, rows: number, value: number): Uint8Array {
  const elements = rows * writer.geometry.rowElements;
  const array = writer.geometry.itemBytes === 1 ? new Uint8Array(elements) : new Uint16Array(elements);
  array.fill(value);
  return new Uint8Array(array.buffer);
}

/** The medium after the first `operations` operations. */
export function mediumAfter(stream: Pick<PowerStream, "base" | "log" | "sizes">, operations: number): PowerMedium {
  const medium = new PowerMedium(stream.base, stream.sizes);
  for (let at = 0; at < operations; at++) medium.apply(stream.log[at], at);
  return medium;
}

export function describeOperation(operation: FsOperation | undefined): string {
  if (operation === undefined) return "the end";
  if ("from" in operation) return `rename ${operation.from} to ${operation.to}`;
  if ("path" in operation) return `${operation.op} ${operation.path}`;
  return `${operation.op} of node ${operation.node}`;
}

/** A store that was closed, with everything on the medium. */
export async function closedStore(scene: PowerScene): Promise<{ base: RecordingFs; content: Uint8Array }> {
  const { end, content } = await recordStream(scene);
  return { base: end.copy(), content };
}

/**
 * A recovery of what lies on a medium, with everything that it does to it. `log` begins behind `stream`'s operations,
 * if that is given.
 */
export async function recordRecovery(
  image: RecordingFs,
  before: Promised,
  recover: (fs: RecordingFs) => Promise<unknown>,
): Promise<{
  readonly log: readonly FsOperation[];
  readonly promised: readonly Promised[];
  readonly end: RecordingFs;
}> {
  const end = image.copy();
  const promised: Promised[] = [];
  end.onOperation = () => promised.push(before);
  await recover(end);
  end.onOperation = () => {};
  const rows = end.log.length > 0 ? rowsOf(end) : 0;
  const { opened, durable, published } = before;
  const more = { durable: Math.max(rows, durable), published: Math.max(rows, published) };
  promised.push({ opened, ...more, addedFrom: readableRows(image) });
  return { log: [...end.log], promised, end };
}

/**
 * The stream whose process ends after so many operations, with everything it had written still in the system's memory;
 * then the store is recovered. Undefined where there is nothing to recover.
 * @param when what the process has left is of interest
 */
export async function endedAndRecovered(
  stream: PowerStream,
  operations: number,
  recover: (fs: RecordingFs) => Promise<unknown>,
  when: (files: ReadonlyMap<string, Uint8Array>) => boolean = () => true,
): Promise<PowerStream | undefined> {
  const left = stream.base.copy();
  for (const operation of stream.log.slice(0, operations)) left.apply(operation);
  const files = left.files(ROOT);
  if (!files.has(MARKER_KEY) || !when(files)) return undefined;
  const { log, promised, end } = await recordRecovery(left, stream.promised[operations], recover);
  const shifted = log.map((operation) =>
    operation.op === "sync" ? { ...operation, since: operation.since + operations } : operation,
  );
  return {
    ...stream,
    log: [...stream.log.slice(0, operations), ...shifted],
    promised: [...stream.promised.slice(0, operations), ...promised],
    end,
  };
}

/** Rows of a zarr.json that can be understood. */
export function readableRows(fs: RecordingFs): number | undefined {
  const bytes = fs.files(ROOT).get("zarr.json");
  if (bytes === undefined) return undefined;
  try {
    return parseArrayMetadata(bytes, "zarr.json").shape[0];
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return undefined;
  }
}
