import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import {
  type ArrayWriter,
  isMillraceError,
  moduleSink,
  openArray,
  openWriter,
  verifyStore,
  type WriterOptions,
} from "../../dist/index.js";
import { Gate } from "../helpers/faulty_sink.js";
import { codeOf } from "../helpers/outcome.js";
import { PATIENCE_MS } from "../helpers/patience.js";
import { elementBytes } from "../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { testCodecs } from "../helpers/zstd.js";

/**
 * A sink that does not answer, for as long as a test wants: it stands at a gate, and no clock decides anything. The
 * stream waits, says for what, and everything arrives once the gate is open; every way to end it meanwhile ends.
 */
const ROW_BYTES = 2 * 3000;
const ROWS = 64;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);
const rows = (from: number, to: number): Uint8Array => data.subarray(from * ROW_BYTES, to * ROW_BYTES);

let folder: string;
let path: string;
let gate: Gate;
let writer: ArrayWriter | undefined;
beforeEach(async () => {
  folder = await makeTempFolder();
  path = join(folder, "run.zarr");
  gate = new Gate();
  writer = undefined;
});
afterEach(async () => {
  // Also of a test that failed: a held sink holds its thread.
  gate.release();
  await writer?.abort();
  await removeFolder(folder);
});

type Threads = "inline" | "workers";
type Held = "open" | "write" | "seal" | "putObject" | "close";

/** Batches of four rows, rows of shards of eight; the `nth` call of `method` is held. */
async function open(threads: Threads, method: Held, nth: number, over: Partial<WriterOptions> = {}) {
  writer = await openWriter({
    sink: moduleSink(new URL("../helpers/held_file_sink.js", import.meta.url), {
      path,
      method,
      nth,
      gate: gate.memory,
    }),
    threads,
    batchEpochs: 1,
    depth: 2,
    encodeThreads: 2,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: testCodecs[testCodecs.length - 1],
      dimensions: [
        { name: "t", size: null, chunk: 4, shard: 8 },
        { name: "x", size: 3000, chunk: 1000, shard: 2000 },
      ],
    },
    ...over,
  });
  return writer;
}

const waits = (w: ArrayWriter): string[] => w.metrics().waiting.map(({ owner, rule }) => `${owner} ${rule}`);

/**
 * Until these waits go on, and no owner waits under another rule; a batch that is done behind a held one may wait for
 * its turn.
 */
async function until(w: ArrayWriter, expected: readonly string[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS / 2;
  for (;;) {
    const now = waits(w).filter((wait) => expected.includes(wait) || wait !== "delivery DELIVER_OLDEST_FIRST");
    if (now.length === expected.length && expected.every((wait) => now.includes(wait))) return;
    // Only so that a hang says where: before the test's own timeout, which does not know.
    if (Date.now() > deadline) throw new Error(`${expected} was waited for; it stands at ${waits(w)}`);
    await turn();
  }
}

/** The next writer that ends, on the tracing channel; openWriter may have been done with it long before. */
function untilEnded(): Promise<void> {
  return new Promise((resolve) => {
    const ended = (): void => {
      unsubscribe("millrace:close", ended);
      resolve();
    };
    subscribe("millrace:close", ended);
  });
}

/** Everything is handed over or waits, behind the sink. */
const BEHIND_SINK = ["producer STAGING_FREE", "engine JOIN_BEFORE_REFILL", "delivery OUTPUT_RELEASED"];
/** Behind a write: the journal, too, waits for it. */
const STALLED = [...BEHIND_SINK, "delivery JOURNAL_AFTER_DATA"];

/** `published` rows, whole rows of shards, are there before a write is held. */
async function stall(threads: Threads, published: 0 | 8 = 0) {
  // Two shards side by side: two writes a batch.
  const w = await open(threads, "write", published === 0 ? 1 : 6);
  const append = (i: number): Promise<void> => w.append(rows(4 * i, 4 * i + 4));
  const appends = Array.from({ length: published / 4 }, (_, i) => append(i));
  if (published > 0) await w.flush();
  expect(w.watermarks.published).toBe(published);
  for (let i = appends.length; i < 16; i++) appends.push(append(i));
  for (const appended of appends) appended.catch(() => {});
  await gate.arrived();
  await until(w, [...STALLED, "delivery DELIVER_OLDEST_FIRST"]);
  return { w, appends };
}

/** What readers see is whole and right; returns how many rows that are. */
async function checkPublished(): Promise<number> {
  const array = await openArray(path);
  const count = array.metadata.shape[0];
  expect(Buffer.compare((await array.readRegion()).data, rows(0, count))).toBe(0);
  expect((await verifyStore(path)).defects).toEqual([]);
  return count;
}

/** Whether a promise has settled after many turns of the event loop; a look, no bound on anything. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let i = 0; i < 200 && !settled; i++) await turn();
  return settled;
}

describe.each<Threads>(["inline", "workers"])("a sink that does not answer, threads %s", (threads) => {
  it("holds append back, and metrics name who waits for what and since when", async () => {
    const { w, appends } = await stall(threads);
    const before = w.metrics();
    expect(w.tryAppend(rows(0, 1))).toBe(0);
    expect(w.reserve(2)).toBe(null);
    for (let i = 0; i < 100; i++) await turn();
    const after = w.metrics();
    expect(waits(w)).toEqual([
      "producer STAGING_FREE",
      "engine JOIN_BEFORE_REFILL",
      "delivery DELIVER_OLDEST_FIRST",
      "delivery OUTPUT_RELEASED",
      "delivery JOURNAL_AFTER_DATA",
    ]);
    for (const [i, { forNs }] of after.waiting.entries()) expect(forNs).toBeGreaterThan(before.waiting[i].forNs);
    expect(after.bytesIn).toBe(before.bytesIn);
    expect(await settles(appends[15])).toBe(false);
    gate.release();
    await Promise.all(appends);
    await w.close();
    expect(w.metrics().waiting).toEqual([]);
    expect(await checkPublished()).toBe(ROWS);
  });

  it("is told apart by what it holds: a seal, the metadata, the end", async () => {
    const sealing = await open(threads, "seal", 1);
    const appends = Array.from({ length: 16 }, (_, i) => sealing.append(rows(4 * i, 4 * i + 4)));
    await gate.arrived();
    // The next row of shards is written meanwhile; its seal waits for the first one's.
    await until(sealing, [...BEHIND_SINK, "delivery PUBLISH_AFTER_DURABLE"]);
    gate.release();
    await Promise.all(appends);
    await sealing.close();
    expect(await checkPublished()).toBe(ROWS);

    gate = new Gate();
    path = join(folder, "put.zarr");
    // The first one is of opening.
    const putting = await open(threads, "putObject", 2);
    await putting.append(rows(0, 8));
    const flushed = putting.flush();
    await until(putting, ["producer PUBLISH_AFTER_DURABLE", "engine BATCH_FILLED", "delivery PUBLISH_AFTER_DURABLE"]);
    gate.release();
    await flushed;
    await putting.close();
    expect(await checkPublished()).toBe(8);

    gate = new Gate();
    path = join(folder, "close.zarr");
    const closing = await open(threads, "close", 1);
    await closing.append(rows(0, 5));
    const closed = closing.close();
    await until(
      closing,
      ["producer", "engine", "delivery"].map((owner) => `${owner} STOP_JOIN_BEFORE_RELEASE`),
    );
    // Everything is published by then.
    expect(await checkPublished()).toBe(5);
    gate.release();
    await closed;
    expect(closing.metrics().waiting).toEqual([]);
  });

  it("has its bound of pending bytes named", async () => {
    const w = await open(threads, "write", 1, { maxPendingBytes: 1, depth: 3 });
    await w.append(rows(0, 4));
    await gate.arrived();
    const appended = w.append(rows(4, ROWS));
    appended.catch(() => {});
    await until(w, [
      "producer STAGING_FREE",
      "engine SINK_PENDING_BYTES",
      "delivery OUTPUT_RELEASED",
      "delivery JOURNAL_AFTER_DATA",
    ]);
    gate.release();
    await appended;
    await w.close();
    expect(await checkPublished()).toBe(ROWS);
  });

  it("with depth 1 holds the engine before it looks at more", async () => {
    const w = await open(threads, "write", 1, { depth: 1 });
    const appended = w.append(data);
    await gate.arrived();
    await until(w, STALLED);
    gate.release();
    await appended;
    await w.close();
    expect(await checkPublished()).toBe(ROWS);
  });

  it("idle owners wait for the one before them, and the producer for nobody", async () => {
    const w = await open(threads, "write", 1);
    await until(w, ["engine BATCH_FILLED", "delivery ENCODED"]);
    gate.release();
    await w.append(rows(0, 10));
    await w.flush();
    await until(w, ["engine BATCH_FILLED", "delivery ENCODED"]);
    await w.close();
    expect(w.metrics().waiting).toEqual([]);
  });

  it("[module-run] abort wakes who waits before the sink answers, then ends, and leaves a valid store", async () => {
    const { w, appends } = await stall(threads, 8);
    const flushed = codeOf(w.flush());
    const [first, second] = [w.abort(), w.abort()];
    // The first fits the slots; the last ones wait.
    expect(await codeOf(appends[15])).toBe("WRITER_ABORTED");
    expect(await flushed).toBe("WRITER_ABORTED");
    expect(await codeOf(w.append(rows(0, 1)))).toBe("WRITER_ABORTED");
    expect([await settles(first), await settles(second)]).toEqual([false, false]);
    expect(waits(w)).toContain("producer STOP_JOIN_BEFORE_RELEASE");
    expect(waits(w)).toContain("delivery OUTPUT_RELEASED");
    gate.release();
    await Promise.all([first, second]);
    expect(await codeOf(w.close())).toBe("WRITER_ABORTED");
    // Delivery hears of the abort before or after the gate.
    expect([8, 16]).toContain(await checkPublished());
  });

  it("close behind appends that wait, and a second close: everything arrives", async () => {
    const { w, appends } = await stall(threads);
    const closed = w.close();
    expect(w.close()).toBe(closed);
    expect(await codeOf(w.append(rows(0, 1)))).toBe("WRITER_CLOSED");
    expect(await settles(closed)).toBe(false);
    gate.release();
    await Promise.all([...appends, closed, w.close()]);
    expect(await checkPublished()).toBe(ROWS);
  });

  it("abort ends a close that waits", async () => {
    const { w, appends } = await stall(threads, 8);
    const closed = codeOf(w.close());
    expect(await settles(closed)).toBe(false);
    const aborted = w.abort(new Error("enough"));
    expect(await codeOf(appends[15])).toBe("WRITER_ABORTED");
    gate.release();
    await aborted;
    expect(await closed).toBe("WRITER_ABORTED");
    expect([8, 16]).toContain(await checkPublished());
  });

  it("flush under backpressure ends once what was added before it is published", async () => {
    const { w, appends } = await stall(threads);
    const flushed = w.flush();
    const behind = w.append(rows(0, 3));
    expect(await settles(flushed)).toBe(false);
    gate.release();
    await flushed;
    expect(w.watermarks.published).toBeGreaterThanOrEqual(ROWS);
    expect(await checkPublished()).toBeGreaterThanOrEqual(ROWS);
    await Promise.all([...appends, behind]);
    await w.abort();
  });

  it("an append that gives up by its signal leaves those behind it waiting, in a new wait for metrics", async () => {
    const { w, appends } = await stall(threads);
    const controller = new AbortController();
    const given = codeOf(w.append(rows(0, 4), { signal: controller.signal }));
    const behind = w.append(rows(0, 4));
    controller.abort();
    expect(await given).toBe("APPEND_ABORTED");
    expect(await settles(behind)).toBe(false);
    expect(waits(w)).toContain("producer STAGING_FREE");
    gate.release();
    await Promise.all([...appends, behind]);
    await w.close();
    expect((await openArray(path)).metadata.shape[0]).toBe(ROWS + 4);
  });

  it.each(["open", "putObject"] as const)("a signal aborted in %s of opening ends openWriter at once", async (held) => {
    const controller = new AbortController();
    const opening = codeOf(open(threads, held, 1, { signal: controller.signal }));
    await gate.arrived();
    const ended = untilEnded();
    controller.abort();
    expect(await opening).toBe("WRITER_ABORTED");
    // What was under way ends behind it; then the threads do, and the memory is given back.
    gate.release();
    await ended;
  });
});

it.each(["none", testCodecs[testCodecs.length - 1]])(
  "engine and delivery need no turn of the caller's event loop: codec %s",
  async (codec) => {
    const w = await open("workers", "write", 0, {
      depth: 4,
      array: {
        dtype: "uint16",
        codec,
        dimensions: [
          { name: "t", size: null, chunk: 4, shard: 8 },
          { name: "x", size: 3000, chunk: 1000, shard: 2000 },
        ],
      },
    });
    // All four slots.
    expect(w.tryAppend(rows(0, 16))).toBe(16 * ROW_BYTES);
    const busyUntil = Date.now() + PATIENCE_MS / 2;
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    // Seen in shared memory; no message is read in this loop.
    while (w.watermarks.published < 16) if (Date.now() > busyUntil) throw new Error(`still at ${waits(w)}`);
    expect(turned).toBe(false);
    expect(w.watermarks).toEqual({ accepted: 16, encoded: 16, delivered: 16, durable: 16, published: 16 });
    expect(w.metrics()).toMatchObject({ shardsSealed: 4, stagingSlotsBusy: 0, outputSlotsBusy: 0 });
    // And slots are free again: what is handed over now needs no turn either.
    expect(w.tryAppend(rows(16, 32))).toBe(16 * ROW_BYTES);
    while (w.watermarks.published < 32) if (Date.now() > busyUntil) throw new Error(`still at ${waits(w)}`);
    expect(turned).toBe(false);
    await w.close();
    expect(await checkPublished()).toBe(32);
  },
);

it("a failure is found by the next call after the caller's thread was busy", async () => {
  const w = await open("workers", "write", 0, {
    sink: moduleSink(new URL("../helpers/faulty_sink_module.js", import.meta.url), {
      faults: [{ method: "write", nth: 2, action: "fail", code: "DISK_FULL" }],
    }),
  });
  const failed = new Promise((resolve) => w.on("error", resolve));
  w.tryAppend(data);
  const busyUntil = Date.now() + PATIENCE_MS / 2;
  // Shared memory has no error; the slots of a failed stream come back all the same.
  while (w.metrics().stagingSlotsBusy > 0) if (Date.now() > busyUntil) throw new Error(`still at ${waits(w)}`);
  expect(isMillraceError(await failed, "DISK_FULL")).toBe(true);
  expect(await codeOf(w.append(data))).toBe("DISK_FULL");
  expect(await codeOf(w.close())).toBe("DISK_FULL");
});
