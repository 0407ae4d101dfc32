import { hostname } from "node:os";
import { isMillraceError, MillraceError } from "../../src/base/errors.js";
import type { OpenMode } from "../../src/handoff/sink.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions, Durability } from "../../src/options.js";
import { FileSink } from "../../src/sinks/file.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { ROOT, rowsOf } from "./folder_crashes.js";
import { inlineSpec } from "./map_sink.js";
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
  readonly durable: number;
  readonly published: number;
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
  const { array, mode, maxOpenFiles, delay, publishIntervalMs = 0, batchEpochs, depth, durability } = scene;
  const fs = base.copy();
  const promised: Promised[] = [];
  let writer: ArrayWriter | undefined;
  const rowsBefore = mode === "resume" ? rowsOf(base) : 0;
  const promise = (): Promised => {
    const { durable, published } = writer?.watermarks ?? { durable: rowsBefore, published: rowsBefore };
    return { durable, published };
  };
  fs.onOperation = () => promised.push(promise());
  if (delay !== undefined) fs.before = delay;
  writer = await openWriter({
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

/** After a power cut the process that the marker names is gone: as another boot of the machine would tell, or another machine. Same length. */
export function rebooted(image: RecordingFs): RecordingFs {
  const marker = image.tree().find(({ path }) => path === `${ROOT}/${MARKER_KEY}`);
  if (marker?.bytes === undefined) return image;
  const text = Buffer.from(marker.bytes).toString("latin1");
  const name = JSON.stringify(hostname());
  const bytes = Buffer.from(text.replace(name, `"${"-".repeat(name.length - 2)}"`), "latin1");
  image.apply({ op: "write", node: marker.node, position: 0, bytes: new Uint8Array(bytes) });
  return image;
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

export function isOurs(error: unknown): error is MillraceError {
  return isMillraceError(error) && error instanceof MillraceError;
}
