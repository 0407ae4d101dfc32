import { expect } from "vitest";
import { isMillraceError, type MillraceError } from "../../src/base/errors.js";
import type { Sink } from "../../src/handoff/sink.js";
import type { ArrayOptions, Durability, WriterOptions } from "../../src/options.js";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import { FileSink } from "../../src/sinks/file.js";
import type { FileSystem } from "../../src/sinks/file_system.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { canStrike, type DiskCall, FAULTS, type Fault, type FaultKind, FaultyDisk } from "./faulty_disk.js";
import { checkRecoveredFolder, expectContent, ROOT, rowsOf } from "./folder_crashes.js";
import { inlineSpec } from "./map_sink.js";
import { PATIENCE_MS } from "./patience.js";
import { type OpenWriter, rowBytes } from "./resume_stream.js";
import { elementBytes } from "./stream_model.js";

/** A small stream on a disk that goes wrong, and everything that must hold then. */

/** Two shards side by side, two epochs of two rows deep. */
export const FAULT_ARRAY: ArrayOptions = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
  ],
};
export const ROW_BYTES = 14;
/** Two rows of shards, and a third with an epoch and a half. */
export const ROWS = 11;
/** What a store that is resumed holds: the stream goes on inside a row of shards, and inside an epoch. */
export const FIRST_ROWS = 5;
export const CONTENT = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);
const CRASHED = { content: CONTENT, rowBytes: ROW_BYTES, writer: undefined as never };
/** All but lies, of which nobody can know. */
const LOUD = FAULTS.filter((kind) => kind !== "lie");
/** A call that takes longer never settles. Before the test's own limit, which would not say which call it was. */
const HANG_MS = PATIENCE_MS / 2;

export interface FaultScene {
  readonly durability: Durability;
  readonly mode: "create" | "resume";
  /** Opens the writer on a backend; default: the CPU. */
  readonly open?: OpenWriter;
  /** Between the sink and the disk. */
  readonly wrapFs?: (fs: FileSystem) => FileSystem;
  /** Between the writer and the sink. */
  readonly wrapSink?: (sink: Sink) => Sink;
}

export interface FaultRun extends Driven {
  readonly scene: FaultScene;
  readonly disk: FaultyDisk;
}

let stored: Promise<FaultyDisk> | undefined;

/** A disk as it is before the scene. */
export async function diskBefore({ mode }: FaultScene): Promise<FaultyDisk> {
  if (mode === "create") return new FaultyDisk();
  stored ??= makeStore();
  return (await stored).copy();
}

async function makeStore(): Promise<FaultyDisk> {
  const disk = new FaultyDisk();
  const writer = await openWriter(writerOptions({ durability: "shard", mode: "create" }, disk));
  await writer.append(rowBytes(writer, 0, FIRST_ROWS));
  await writer.close();
  return disk;
}

function writerOptions({ durability, mode, wrapFs, wrapSink }: FaultScene, disk: FaultyDisk): WriterOptions {
  // Fewer files than the stream has open: some are closed and opened again.
  const sink: Sink = new FileSink({ root: ROOT, fs: wrapFs?.(disk) ?? disk, maxOpenFiles: 2 });
  return {
    sink: inlineSpec(wrapSink?.(sink) ?? sink),
    array: FAULT_ARRAY,
    mode,
    durability,
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
  };
}

async function settled<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} does not settle`)), HANG_MS);
  });
  try {
    return await Promise.race([promise, hangs]);
  } finally {
    clearTimeout(timer);
  }
}

/** What was seen of a stream, wherever it goes. */
export interface Driven {
  /** The stream's failure; undefined where it ended well. */
  readonly error: MillraceError | undefined;
  readonly opened: boolean;
  readonly published: number;
  readonly durable: number;
}

/**
 * Opens a writer, streams to the end, calls everything again after a failure, and checks that all calls settle, that
 * there is one failure, said once, and that nobody leaves a rejection behind. `look` is called right after the failure,
 * with the rows that readers were told of.
 */
export async function driveStream(
  open: () => Promise<ArrayWriter>,
  first: number,
  look: (published: number) => Promise<unknown>,
): Promise<Driven> {
  const rejections: unknown[] = [];
  const onRejection = (error: unknown): void => void rejections.push(error);
  process.on("unhandledRejection", onRejection);
  try {
    const driven = await drive(open, first, look);
    // Those are told of after the turn in which nobody has caught them.
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections, "rejections that nobody handles").toEqual([]);
    return driven;
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}

async function drive(
  open: () => Promise<ArrayWriter>,
  first: number,
  look: (published: number) => Promise<unknown>,
): Promise<Driven> {
  const failures: unknown[] = [];
  const keep = async (what: string, call: Promise<unknown>): Promise<void> => {
    await settled(what, call).catch((error) => failures.push(error));
  };
  let writer: ArrayWriter;
  try {
    writer = await settled("openWriter", open());
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return { error, opened: false, published: first, durable: first };
  }
  const events: unknown[] = [];
  let looked: Promise<unknown> | undefined;
  writer.on("error", (error) => {
    events.push(error);
    looked = look(writer.watermarks.published).catch((cause) => {
      failures.push(new Error("right after the failure", { cause }));
    });
  });
  await keep("append", writer.append(rowBytes(writer, first, 7)));
  await keep("flush", writer.flush());
  await keep("append", writer.append(rowBytes(writer, 7, ROWS)));
  await keep("close", writer.close());
  await looked;
  if (failures.length > 0) {
    await keep("append after the failure", writer.append(rowBytes(writer, 0, 1)));
    await keep("flush after the failure", writer.flush());
    await keep("close again", writer.close());
    await settled("abort", writer.abort());
    expect(new Set(failures).size, "one failure, which every call reports").toBe(1);
    expect(events, "one event of it").toEqual([failures[0]]);
    if (!isMillraceError(failures[0])) throw failures[0];
  } else expect(events).toEqual([]);
  const { accepted, encoded, delivered, durable, published } = writer.watermarks;
  const marks = [published, durable, delivered, encoded, accepted];
  expect(marks, "published <= durable <= delivered").toEqual([...marks].sort((a, b) => a - b));
  return { error: failures[0] as MillraceError | undefined, opened: true, published, durable };
}

/** Runs the scene's stream on a disk, and checks what can be said while it runs and of its calls. */
export async function runFaulty(scene: FaultScene, fault: Fault | undefined, disk: FaultyDisk): Promise<FaultRun> {
  const { open = openWriter, mode } = scene;
  disk.inject(fault);
  const driven = await driveStream(
    () => open(writerOptions(scene, disk)),
    mode === "resume" ? FIRST_ROWS : 0,
    (published) => checkReadable(disk.cache.copy(), published),
  );
  expect(disk.openHandles, "handles left open").toBe(0);
  return { ...driven, scene, disk };
}

/** What a reader finds: at least `published` rows, and all that the shape covers with the right values. */
async function checkReadable(fs: FaultyDisk["cache"], published: number): Promise<number> {
  const files = fs.files(ROOT);
  if (!files.has("zarr.json")) {
    expect(published).toBe(0);
    return 0;
  }
  const rows = rowsOf(fs);
  expect(rows, "rows that readers were told of").toBeGreaterThanOrEqual(published);
  const { data } = await (await openArray(files)).readRegion();
  expect(Buffer.compare(data, CONTENT.subarray(0, rows * ROW_BYTES)), "values of published rows").toBe(0);
  return rows;
}

const CODES: Readonly<Record<string, string>> = {
  EIO: "SINK_FAILED",
  EMFILE: "SINK_FAILED",
  ENFILE: "SINK_FAILED",
  ENOSPC: "DISK_FULL",
  EDQUOT: "DISK_FULL",
  EACCES: "PERMISSION_DENIED",
  EROFS: "PERMISSION_DENIED",
};
const ERRNOS: Readonly<Record<string, string>> = { "read-only": "EROFS", full: "ENOSPC" };
/**
 * Whatever has struck, the system may have said it of a call that came after: something is there already, or is not.
 */
const errnosOf = (kind: Fault["kind"]): string[] =>
  kind === "done, then EIO" ? ["EIO", "EEXIST", "ENOENT"] : kind === "no bytes" ? ["EIO"] : [ERRNOS[kind] ?? kind];

/** A message that names the fault, a path, and what to do. */
export function checkError(error: MillraceError, fault: Fault, isRead = false): void {
  const errno = error.context.errno as string;
  expect(errnosOf(fault.kind), "errno in the context").toContain(errno);
  const code = CODES[errno] ?? "SINK_FAILED";
  if (isRead) expect([code, "STORE_READ_FAILED"]).toContain(error.code);
  else expect(error.code).toBe(code);
  const path = error.context.path as string;
  expect(path.startsWith(ROOT) || ROOT.startsWith(path), `path in the context: ${path}`).toBe(true);
  expect(error.hint, "hint").toMatch(/\w/);
  expect(error.message).toContain(error.hint);
}

/**
 * Everything that must hold of a stream on which a fault has struck, there and then, after a power cut, and after
 * recovery.
 */
export async function checkFaulty(run: FaultRun, fault: Fault): Promise<void> {
  const { scene, disk, error, published, durable } = run;
  if (error === undefined) {
    expect(["short", "late", "EMFILE", "ENFILE"].includes(fault.kind) || isHarmless(disk.struck!)).toBe(true);
    expect([published, durable]).toEqual([ROWS, ROWS]);
    await expectContent(disk.cache.files(ROOT), CONTENT);
    if (scene.durability === "none") return;
    // The removal of the marker need not have come that far.
    const image = disk.medium.image();
    expect(await checkReadable(image, ROWS)).toBe(ROWS);
    await checkRecoveredFolder({ at: "power cut", fs: image, durable }, CRASHED, false, scene.mode === "resume");
    return;
  }
  checkError(error, fault);
  // A disk that is still full or read-only is left as it was, or recovered all the same.
  await checkAftermath(run, fault.kind === "full" || fault.kind === "read-only" ? fault : undefined);
}

/** What must hold of a stream that has failed, whatever its failure says. `lasting`: the fault is still there. */
export async function checkAftermath(run: FaultRun, lasting?: Fault): Promise<void> {
  const { scene, disk, published, durable, opened } = run;
  await checkReadable(disk.cache, published);
  if (scene.durability !== "none") {
    const image = disk.medium.image();
    await checkReadable(image, published);
    await checkRecoveredFolder({ at: "power cut", fs: image, durable }, CRASHED, false, scene.mode === "resume");
  }
  await checkRecoveredFolder({ at: "as it is", fs: disk.cache, durable }, CRASHED, false, scene.mode === "resume");
  if (!opened && scene.mode === "create" && disk.cache.files(ROOT).size === 0) return;

  if (lasting !== undefined) await recoverWith(disk, lasting, durable);
  disk.inject(undefined);
  await recoverAndGoOn(disk, scene, durable);
}

/** Recovery of which a call fails: it says so, or has got over it. */
export async function recoverWith(disk: FaultyDisk, fault: Fault, durable: number): Promise<void> {
  await recoverFiles(ROOT, { force: true }, disk).then(
    () => undefined,
    (error) => {
      if (!isMillraceError(error)) throw error;
      checkError(error, fault, true);
    },
  );
  expect(disk.openHandles, "handles left open").toBe(0);
  // Whatever it has published by then is true.
  await checkReadable(disk.cache, 0);
  const files = disk.cache.files(ROOT);
  if (!files.has(".millrace/writer.json") && files.has("zarr.json"))
    expect(rowsOf(disk.cache)).toBeGreaterThanOrEqual(durable);
}

/** Recovers on the disk itself, cuts the power right afterwards, and goes on with the stream where it is. */
export async function recoverAndGoOn(disk: FaultyDisk, scene: FaultScene, durable: number): Promise<void> {
  const found = disk.cache.files(ROOT);
  if (found.has(".millrace/writer.json") || found.has("zarr.json")) await recoverFiles(ROOT, { force: true }, disk);
  const rows = await checkReadable(disk.cache, durable);
  const hasStore = disk.cache.files(ROOT).has("zarr.json");
  // Recovery promises more than the writer did: what it has published is on the medium.
  if (hasStore && scene.durability !== "none") {
    const image = disk.medium.image();
    expect(await checkReadable(image, rows)).toBe(rows);
    await checkRecoveredFolder(
      { at: "power cut after recovery", fs: image, durable: rows },
      CRASHED,
      false,
      scene.mode === "resume",
    );
  }

  const { wrapFs: _, wrapSink: __, ...plain } = scene;
  const mode = hasStore ? "resume" : "create";
  const writer = await openWriter(writerOptions({ ...plain, mode }, disk));
  expect(writer.watermarks.durable).toBe(rows);
  await writer.append(rowBytes(writer, rows, ROWS));
  await writer.close();
  await expectContent(disk.cache.files(ROOT), CONTENT);
}

/** Calls of which a failure is got over: nothing depends on them. */
function isHarmless({ method, path }: DiskCall): boolean {
  return method === "unlink" && path.includes(".millrace/journal.");
}

/** Every place that a kind of fault can strike at, of those that `calls` names. */
export function cellsOf(calls: readonly DiskCall[], kinds: readonly FaultKind[] = LOUD): Fault[] {
  return kinds.flatMap((kind) =>
    calls.filter((call) => canStrike(kind, call)).map(({ index }) => ({ kind, at: index })),
  );
}

/** The calls that a scene makes, to know where faults can strike. */
export async function callsOf(scene: FaultScene): Promise<readonly DiskCall[]> {
  const disk = await diskBefore(scene);
  const run = await runFaulty(scene, undefined, disk);
  expect(run.error).toBeUndefined();
  await expectContent(disk.cache.files(ROOT), CONTENT);
  return [...disk.calls];
}

/**
 * One cell of the matrix. Rejects with a message that says which. Returns the run; undefined where the fault did
 * not strike.
 */
export async function tryFault(scene: FaultScene, fault: Fault): Promise<FaultRun | undefined> {
  const disk = await diskBefore(scene);
  let struck: DiskCall | undefined;
  try {
    const run = await runFaulty(scene, fault, disk);
    struck = disk.struck;
    if (struck === undefined) return undefined;
    await checkFaulty(run, fault);
    return run;
  } catch (cause) {
    const { method = "no call", path = "" } = struck ?? disk.struck ?? {};
    throw new Error(`${scene.mode}, ${scene.durability}: ${fault.kind} at call ${fault.at}, ${method} ${path}`, {
      cause,
    });
  }
}

/**
 * A cell of recovery's matrix: a disk on which a stream has failed, and recovery of which one call goes wrong. Returns
 * false where nothing has struck.
 */
export async function tryRecoveryFault(run: FaultRun, fault: Fault): Promise<boolean> {
  const { scene, durable } = run;
  const disk = run.disk.copy();
  disk.inject(fault);
  try {
    await recoverWith(disk, fault, durable);
    if (disk.struck === undefined) return false;
    if (scene.durability !== "none") {
      const image = { at: "power cut in recovery", fs: disk.medium.image(), durable };
      await checkRecoveredFolder(image, CRASHED, false, scene.mode === "resume");
    }
    disk.inject(undefined);
    await recoverAndGoOn(disk, scene, durable);
    return true;
  } catch (cause) {
    const { method = "no call", path = "" } = disk.struck ?? {};
    throw new Error(
      `recovery of ${scene.mode}, ${scene.durability}: ${fault.kind} at call ${fault.at}, ${method} ${path}`,
      {
        cause,
      },
    );
  }
}

/** A stream that has failed at the given part of its calls, and how often its recovery calls the file system. */
export async function failedAt(
  scene: FaultScene,
  part: number,
): Promise<{ run: FaultRun; calls: readonly DiskCall[] }> {
  const calls = await callsOf(scene);
  let disk: FaultyDisk;
  let run: FaultRun;
  let at = Math.ceil(calls.length * part);
  // Some calls may fail.
  do {
    disk = await diskBefore(scene);
    run = await runFaulty(scene, { kind: "EIO", at: at++ }, disk);
  } while (run.error === undefined);
  disk.inject(undefined);
  const recovered = disk.copy();
  await recoverFiles(ROOT, { force: true }, recovered);
  return { run, calls: [...recovered.calls] };
}
