import diagnostics from "node:diagnostics_channel";
import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import type { ArrayOptions, WriterOptions } from "../../src/options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { faultySink, Gate } from "../helpers/faulty_sink.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { coordinateRows, failureOf } from "../helpers/outcome.js";
import { elementBytes } from "../helpers/stream_model.js";

/** The corners of the writer's contract: what happens to memory, signals and failures while a call waits. */
const ROW_BYTES = 2 * 12;
const dimensions = (size: number | null): ArrayOptions["dimensions"] => [
  { name: "t", size, chunk: 2, shard: 4 },
  { name: "x", size: 12, chunk: 5, shard: 10 },
];

/** Two slots of one epoch of two rows each; the first write stands at the gate. */
async function openHeld(over: Partial<WriterOptions> = {}, size: number | null = null) {
  const gate = new Gate();
  const map = new MapSink();
  const sink = inlineSpec(faultySink(map, [{ method: "write", nth: 1, action: "hold", gate: gate.memory }]));
  const writer = await openWriter({
    sink,
    threads: "inline",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
    array: { dtype: "uint16", codec: "none", dimensions: dimensions(size) },
    ...over,
  });
  return { gate, map, writer };
}

const rows = coordinateRows(ROW_BYTES);

/** Appends until an append has to wait. Returns the rows taken, and the promise of the one that waits. */
async function fill(writer: Awaited<ReturnType<typeof openHeld>>["writer"], gate: Gate) {
  await writer.append(rows(0, 4));
  await gate.arrived();
  let taken = 4;
  // What the held write leaves room for: until nothing moves any more.
  for (let idle = 0; idle < 20; idle++) {
    const accepted = writer.tryAppend(rows(taken, taken + 1));
    taken += accepted / ROW_BYTES;
    if (accepted > 0) idle = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return taken;
}

async function storedRows(map: MapSink): Promise<Uint8Array> {
  expect((await verifyStore(map.files)).defects).toEqual([]);
  return (await (await openArray(map.files)).readRegion()).data;
}

it("completes appends without a turn of the event loop while a slot is free, and not after", async () => {
  const { gate, map, writer } = await openHeld();
  void writer.append(rows(0, 1));
  void writer.append(rows(1, 3));
  expect(writer.watermarks.accepted).toBe(3);
  await writer.append(rows(3, 4));
  await gate.arrived();
  const taken = await fill(writer, gate);
  let done = false;
  const waiting = writer.append(rows(taken, taken + 9)).then(() => {
    done = true;
  });
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(done).toBe(false);
  gate.release();
  await waiting;
  await writer.close();
  // fill starts anew at row 0.
  expect(Buffer.compare((await storedRows(map)).subarray(8 * ROW_BYTES), rows(4, taken + 9))).toBe(0);
});

it.each([
  ["at the front, half of it taken", 0],
  ["behind another append", 1],
])("an append whose buffer is detached while it waits %s fails, and those behind it go on", async (_, ahead) => {
  const { gate, map, writer } = await openHeld();
  const taken = await fill(writer, gate);
  const first = ahead === 1 ? writer.append(rows(taken, taken + 1)) : undefined;
  const data = rows(taken + ahead, taken + ahead + 30);
  const waiting = failureOf(writer.append(data));
  const behind = writer.append(rows(500, 501));
  structuredClone(data.buffer, { transfer: [data.buffer as ArrayBuffer] });
  gate.release();
  const error = await waiting;
  expect(error.code).toBe("INVALID_DATA");
  const accepted = error.context.bytesAccepted as number;
  expect(accepted + (error.context.bytesNotAccepted as number)).toBe(30 * ROW_BYTES);
  await Promise.all([first, behind]);
  await writer.close();
  const expected = Buffer.concat([
    rows(0, taken + ahead),
    rows(taken + ahead, taken + ahead + accepted / ROW_BYTES),
    rows(500, 501),
  ]);
  expect(Buffer.compare(await storedRows(map), expected)).toBe(0);
});

it("refuses a DataView over a detached buffer", async () => {
  const { gate, writer } = await openHeld();
  gate.release();
  const view = new DataView(new ArrayBuffer(ROW_BYTES));
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  expect((await failureOf(writer.append(view))).code).toBe("INVALID_DATA");
  expect(() => writer.tryAppend(view)).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
  await writer.close();
});

it("an append past the end that waits gives up with its signal", async () => {
  const { gate, map, writer } = await openHeld({}, 40);
  const taken = await fill(writer, gate);
  const controller = new AbortController();
  const waiting = failureOf(writer.append(rows(taken, 60), { signal: controller.signal }));
  controller.abort();
  const error = await waiting;
  expect(error.code).toBe("APPEND_ABORTED");
  expect(error.context.bytesNotAccepted).toBe((60 - taken) * ROW_BYTES);
  gate.release();
  await writer.append(rows(taken, 40));
  await writer.close();
  expect(Buffer.compare(await storedRows(map), rows(0, 40))).toBe(0);
});

it("a signal that lives as long as the program collects no listeners", async () => {
  const { signal } = new AbortController();
  const { gate, writer } = await openHeld({ signal });
  gate.release();
  for (let i = 0; i < 30; i++) await writer.append(rows(i * 3, i * 3 + 3), { signal });
  expect(getEventListeners(signal, "abort").length).toBe(1);
  await writer.close();
  expect(getEventListeners(signal, "abort").length).toBe(0);
});

it("a flush that has nothing to wait for, and an abort right behind it, both end", async () => {
  const { gate, writer } = await openHeld();
  gate.release();
  const flushing = failureOf(writer.flush());
  const ended = writer.abort();
  expect((await flushing).code).toBe("WRITER_ABORTED");
  await ended;
});

it("a flush and a close right behind it both succeed", async () => {
  const { gate, map, writer } = await openHeld();
  gate.release();
  await Promise.all([writer.append(rows(0, 9)), writer.flush(), writer.close()]);
  expect(Buffer.compare(await storedRows(map), rows(0, 9))).toBe(0);
});

it("an abort behind a close publishes no row that was not written", async () => {
  const { gate, map, writer } = await openHeld();
  // Two batches, one row of shards: the second waits behind the held write, and the close behind it.
  await writer.append(rows(0, 4));
  await gate.arrived();
  const closing = failureOf(writer.close());
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  const aborting = writer.abort();
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  gate.release();
  await aborting;
  expect((await closing).code).toBe("WRITER_ABORTED");
  expect((await storedRows(map)).byteLength).toBe(0);
  expect([...map.files.keys()]).toEqual(["zarr.json"]);
});

it("await using throws a failure that no call has reported, and only that", async () => {
  const failing = () =>
    inlineSpec(faultySink(new MapSink(), [{ method: "write", nth: 1, action: "fail", code: "DISK_FULL" }]));
  const open = async () => (await openHeld({ sink: failing() })).writer;
  const failed = (writer: Awaited<ReturnType<typeof open>>) =>
    new Promise<void>((resolve) => writer.on("error", () => resolve()));

  const unreported = (async () => {
    await using writer = await open();
    const event = failed(writer);
    await writer.append(rows(0, 2));
    await event;
  })();
  expect((await failureOf(unreported)).code).toBe("DISK_FULL");

  // Thrown once, and not wrapped into a SuppressedError.
  const reported = (async () => {
    await using writer = await open();
    const event = failed(writer);
    await writer.append(rows(0, 2));
    await event;
    await writer.append(rows(2, 3));
  })();
  expect((await failureOf(reported)).code).toBe("DISK_FULL");

  const closed = (async () => {
    await using writer = await open();
    await writer.append(rows(0, 2));
    await writer.close();
  })();
  expect((await failureOf(closed)).code).toBe("DISK_FULL");
});

it("an aborted signal opens nothing; one that aborts meanwhile closes what was opened", async () => {
  const map = new MapSink();
  const early = openHeld({ sink: inlineSpec(map), signal: AbortSignal.abort(new Error("no")) });
  const error = await failureOf(early);
  expect(error.code).toBe("WRITER_ABORTED");
  expect((error.cause as Error).message).toBe("no");
  expect(map.files.size).toBe(0);

  for (let turns = 0; turns < 12; turns++) {
    const late = new MapSink();
    const controller = new AbortController();
    const opening = openHeld({ sink: inlineSpec(late), signal: controller.signal });
    const ended = opening.then(
      async ({ writer }) => (await failureOf(writer.close())).code,
      (e) => e.code,
    );
    for (let i = 0; i < turns; i++) await null;
    controller.abort();
    expect(await ended).toBe("WRITER_ABORTED");
    if (late.files.size > 0) expect(late.closed).toBe(true);
  }
});

it("a signal aborted while the sink opens tells it to hurry", async () => {
  let hurry = (): void => {};
  let begun = (): void => {};
  const opening = new Promise<void>((resolve) => {
    begun = resolve;
  });
  class Unreachable extends MapSink {
    readonly hurry = (): void => hurry();
    override open(): Promise<void> {
      begun();
      return new Promise((_, reject) => {
        hurry = () => reject(new Error("nobody answered"));
      });
    }
  }
  const controller = new AbortController();
  const opened = failureOf(openHeld({ sink: inlineSpec(new Unreachable()), signal: controller.signal }));
  await opening;
  controller.abort();
  expect((await opened).code).toBe("WRITER_ABORTED");
});

it("a skip in the middle of a row changes nothing", async () => {
  const { gate, map, writer } = await openHeld();
  gate.release();
  await writer.append(rows(0, 1).subarray(0, 10));
  expect((await failureOf(writer.skip(1))).context).toEqual({ bytesIntoRow: 10, rowBytes: ROW_BYTES });
  expect((await failureOf(writer.skip(-1))).code).toBe("INVALID_DATA");
  await writer.append(rows(0, 1).subarray(10));
  await writer.close();
  expect(Buffer.compare(await storedRows(map), rows(0, 1))).toBe(0);
});

it.each<[string, ArrayOptions["dimensions"], number[]]>([
  ["of rank 1", [{ name: "t", size: null, chunk: 7, shard: 14 }], [50]],
  ["of rank 1 that is bounded", [{ name: "t", size: 50, chunk: 7, shard: 21 }], [50]],
  [
    "whose chunk is larger than the array",
    [
      { name: "t", size: 3, chunk: 8, shard: 16 },
      { name: "x", size: 5, chunk: 9, shard: 18 },
    ],
    [3, 5],
  ],
])("stores an array %s", async (_, dims, shape) => {
  const sink = memorySink();
  const array = { dtype: "int32", codec: "none", dimensions: dims, fillValue: -1 } as const;
  const writer = await openWriter({ sink, threads: "inline", array });
  const data = elementBytes(
    0,
    shape.reduce((a, b) => a * b),
    4,
  );
  await writer.append(data.subarray(0, 12));
  await writer.append(data.subarray(12));
  await writer.close();
  const read = await openArray(sink.files);
  expect(read.metadata.shape).toEqual(shape);
  expect(Buffer.compare((await read.readRegion()).data, data)).toBe(0);
});

it("hands over the last batch of a bounded array without waiting for close", async () => {
  const { gate, map, writer } = await openHeld({}, 8);
  gate.release();
  await writer.append(rows(0, 8));
  await writer.flush();
  expect(writer.watermarks).toEqual({ accepted: 8, encoded: 8, delivered: 8, durable: 8, published: 8 });
  expect(writer.tryAppend(new Uint8Array(0))).toBe(0);
  expect(() => writer.reserve(2)).toThrow(expect.objectContaining({ code: "WRITE_PAST_END" }));
  expect(Buffer.compare(await storedRows(map), rows(0, 8))).toBe(0);
  await writer.close();
});

it("tells diagnostics channels of opening, shards, failures and the end", async () => {
  const names = ["open", "shard", "error", "close"].map((name) => `millrace:${name}`);
  const heard: [string, unknown][] = [];
  const listener = (message: unknown, name: string | symbol): void => {
    heard.push([String(name), message]);
  };
  for (const name of names) diagnostics.subscribe(name, listener);
  try {
    const { gate, writer } = await openHeld();
    gate.release();
    await writer.append(rows(0, 4));
    await writer.flush();
    await writer.abort();
  } finally {
    for (const name of names) diagnostics.unsubscribe(name, listener);
  }
  expect(heard.map(([name]) => name)).toEqual([
    "millrace:open",
    "millrace:shard",
    "millrace:shard",
    "millrace:error",
    "millrace:close",
  ]);
  expect(heard[0][1]).toMatchObject({ location: "a map", backend: "cpu", geometry: { dtype: "uint16" } });
  expect(heard[1][1]).toMatchObject({ rowFrom: 0, rowTo: 4 });
  expect(heard[3][1]).toMatchObject({ error: { code: "WRITER_ABORTED" } });
  expect(heard[4][1]).toEqual({ rows: 4, bytesIn: 4 * ROW_BYTES });
});
