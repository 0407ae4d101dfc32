import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { WriterOptions } from "../../src/options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { coordinateRows, failureOf } from "../helpers/outcome.js";

const ROW_BYTES = 6 * 10 * 2;

/** Slots of two epochs of two rows: 480 bytes. */
async function open(over: Partial<WriterOptions> = {}, size: number | null = null) {
  const sink = memorySink();
  const writer = await openWriter({
    sink,
    threads: "inline",
    batchEpochs: 2,
    depth: 2,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: { name: "none" },
      dimensions: [
        { name: "t", size, chunk: 2, shard: 4 },
        { name: "y", size: 6, chunk: 4 },
        { name: "x", size: 10, chunk: 4, shard: 8 },
      ],
    },
    ...over,
  });
  return { sink, writer };
}

const rows = coordinateRows(ROW_BYTES);

async function stored(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const array = await openArray(files);
  return (await array.readRegion()).data;
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.byteLength).toBe(expected.byteLength);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

describe("append", () => {
  it("takes bytes and elements of its own dtype, at any offset", async () => {
    const { sink, writer } = await open();
    const data = rows(0, 9);
    const shifted = new Uint8Array(data.byteLength + 64);
    shifted.set(data, 64);
    const shared = new Uint8Array(new SharedArrayBuffer(ROW_BYTES));
    shared.set(data.subarray(8 * ROW_BYTES));
    const at = (row: number): number => 64 + row * ROW_BYTES;
    await writer.append(new Uint8Array(shifted.buffer, at(0), ROW_BYTES));
    await writer.append(shifted.buffer.slice(at(1), at(2)));
    await writer.append(new Uint16Array(shifted.buffer, at(2), ROW_BYTES / 2));
    await writer.append(new DataView(shifted.buffer, at(3), ROW_BYTES - 2));
    await writer.append(new DataView(shifted.buffer, at(4) - 2, 2));
    await writer.append(new Uint16Array(shifted.buffer.slice(at(4), at(6))));
    await writer.append(Buffer.from(shifted.buffer, at(6), ROW_BYTES));
    await writer.append(new Uint8Array(shifted.buffer, at(7), ROW_BYTES));
    await writer.append(shared.buffer);
    await writer.append(new Uint8Array(0));
    await writer.close();
    same(await stored(sink.files), data);
  });

  it("has copied the bytes when it returns, while a slot is free", async () => {
    const { sink, writer } = await open();
    const frame = rows(0, 1);
    const done = writer.append(frame);
    expect(writer.watermarks.accepted).toBe(1);
    frame.fill(0xee);
    await done;
    await writer.close();
    same(await stored(sink.files), rows(0, 1));
  });

  it("has copied the bytes when it resolves, also after waiting, and keeps the order of calls", async () => {
    const { sink, writer } = await open();
    const parts = Array.from({ length: 40 }, (_, i) => rows(i, i + 1));
    await Promise.all(parts.map((part) => writer.append(part).then(() => part.fill(0xee))));
    await writer.close();
    same(await stored(sink.files), rows(0, 40));
  });

  it.each([
    ["a number", 5],
    ["null", null],
    ["undefined", undefined],
    ["an array", [1, 2]],
    ["half an element in an ArrayBuffer", new ArrayBuffer(3)],
    ["half an element", new Uint8Array(3)],
  ])("refuses %s and stays usable", async (_, data) => {
    const { sink, writer } = await open();
    const error = await failureOf(writer.append(data as never));
    expect(error.code).toBe("INVALID_DATA");
    await writer.append(rows(0, 1));
    await writer.close();
    same(await stored(sink.files), rows(0, 1));
  });

  it("refuses a view over a detached buffer", async () => {
    const { writer } = await open();
    const data = new Uint8Array(ROW_BYTES);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    expect((await failureOf(writer.append(data))).code).toBe("INVALID_DATA");
    await writer.close();
  });

  it("gives up waiting when its signal aborts, says what was not accepted, and the stream goes on", async () => {
    const { sink, writer } = await open();
    const early = AbortSignal.abort();
    expect((await failureOf(writer.append(rows(0, 1), { signal: early }))).context.bytesNotAccepted).toBe(ROW_BYTES);
    const controller = new AbortController();
    const all = rows(0, 30);
    const waiting = failureOf(writer.append(all, { signal: controller.signal }));
    const behind = writer.append(rows(100, 101));
    controller.abort(new Error("enough"));
    const error = await waiting;
    expect(error.code).toBe("APPEND_ABORTED");
    const accepted = all.byteLength - (error.context.bytesNotAccepted as number);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(all.byteLength);
    await behind;
    await writer.close();
    same(await stored(sink.files), Buffer.concat([all.subarray(0, accepted), rows(100, 101)]));
  });

  it("accepts what fits a bounded array and counts the rest", async () => {
    const { sink, writer } = await open({}, 5);
    await writer.append(rows(0, 3));
    const error = await failureOf(writer.append(rows(3, 8)));
    expect(error.code).toBe("WRITE_PAST_END");
    expect(error.context).toEqual({ bytesNotAccepted: 3 * ROW_BYTES, bytesAccepted: 2 * ROW_BYTES });
    expect(() => writer.tryAppend(rows(0, 1))).toThrow(expect.objectContaining({ code: "WRITE_PAST_END" }));
    expect((await failureOf(writer.skip(1))).code).toBe("WRITE_PAST_END");
    await writer.close();
    same(await stored(sink.files), rows(0, 5));
  });
});

describe("tryAppend, reserve, skip", () => {
  it("takes what fits without waiting, and nothing while others wait", async () => {
    const { sink, writer } = await open();
    const accepted = writer.tryAppend(rows(0, 20));
    expect(accepted).toBe(2 * 480);
    const waiting = writer.append(rows(8, 12));
    expect(writer.tryAppend(rows(12, 13))).toBe(0);
    await waiting;
    await writer.close();
    same(await stored(sink.files), rows(0, 12));
  });

  it("lends memory of the slot, shorter at its end, and null when none is free", async () => {
    const { sink, writer } = await open();
    const expected: Uint8Array[] = [];
    let row = 0;
    for (;;) {
      const room = writer.reserve(3 * ROW_BYTES);
      if (room === null) break;
      expect([3 * ROW_BYTES, ROW_BYTES]).toContain(room.byteLength);
      const count = room.byteLength / ROW_BYTES;
      room.set(rows(row, row + count));
      expected.push(rows(row, row + count));
      writer.commit(room.byteLength);
      row += count;
    }
    expect(row).toBe(8);
    await writer.close();
    same(await stored(sink.files), Buffer.concat(expected));
  });

  it("refuses everything else while a reservation is open, and then goes on", async () => {
    const { sink, writer } = await open();
    const room = writer.reserve(ROW_BYTES) as Uint8Array;
    room.set(rows(0, 1));
    expect(() => writer.reserve(ROW_BYTES)).toThrow(expect.objectContaining({ code: "RESERVE_STATE" }));
    expect(() => writer.tryAppend(rows(0, 1))).toThrow(expect.objectContaining({ code: "RESERVE_STATE" }));
    for (const call of [writer.append(rows(0, 1)), writer.skip(1), writer.flush(), writer.close()]) {
      expect((await failureOf(call)).code).toBe("RESERVE_STATE");
    }
    expect(() => writer.commit(ROW_BYTES + 2)).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
    expect(() => writer.commit(1)).toThrow(expect.objectContaining({ code: "INVALID_DATA" }));
    writer.commit(ROW_BYTES);
    expect(() => writer.commit(2)).toThrow(expect.objectContaining({ code: "RESERVE_STATE" }));
    await writer.close();
    same(await stored(sink.files), rows(0, 1));
  });

  it("stores no chunk where all of it was skipped", async () => {
    const { sink, writer } = await open();
    await writer.skip(3);
    await writer.append(rows(3, 4));
    await writer.skip(5);
    expect(writer.watermarks.accepted).toBe(9);
    await writer.close();
    // Three rows of two; rows 2 and 3 share the only epoch with data: 2 × 3 chunks.
    expect(writer.metrics().chunksByRoute.cpu).toBe(6);
    same(
      await stored(sink.files),
      Buffer.concat([new Uint8Array(3 * ROW_BYTES), rows(3, 4), new Uint8Array(5 * ROW_BYTES)]),
    );
    expect(
      (await failureOf(open().then(({ writer: w }) => w.append(new Uint8Array(2)).then(() => w.skip(1))))).code,
    ).toBe("SKIP_NOT_ROW_ALIGNED");
  });
});

describe("flush, close, abort", () => {
  it("flush publishes sealed rows and keeps an epoch that is not full", async () => {
    const { sink, writer } = await open();
    await writer.append(rows(0, 7));
    await writer.flush();
    expect(writer.watermarks).toEqual({ accepted: 7, encoded: 6, delivered: 6, durable: 4, published: 4 });
    same(await stored(sink.files), rows(0, 4));
    await writer.append(rows(7, 9));
    await writer.flush();
    expect(writer.watermarks.published).toBe(8);
    await writer.close();
    same(await stored(sink.files), rows(0, 9));
  });

  it("close is idempotent, also while appends wait, and refuses what comes later", async () => {
    const { sink, writer } = await open();
    const waiting = writer.append(rows(0, 20));
    const first = writer.close();
    expect(writer.close()).toBe(first);
    expect((await failureOf(writer.append(rows(0, 1)))).code).toBe("WRITER_CLOSED");
    await Promise.all([waiting, first]);
    expect((await failureOf(writer.flush())).code).toBe("WRITER_CLOSED");
    await writer.abort();
    same(await stored(sink.files), rows(0, 20));
  });

  it("close leaves out half a row and says so", async () => {
    const { sink, writer } = await open();
    await writer.append(rows(0, 3).subarray(0, 2 * ROW_BYTES + 30));
    const error = await failureOf(writer.close());
    expect(error.code).toBe("INCOMPLETE_ROW");
    expect(error.context).toEqual({ bytesLeftOut: 30, rowBytes: ROW_BYTES, rows: 2 });
    same(await stored(sink.files), rows(0, 2));
  });

  it("an empty stream is a valid store", async () => {
    const { sink, writer } = await open();
    await writer.close();
    expect([...sink.files.keys()]).toEqual(["zarr.json"]);
    expect((await openArray(sink.files)).metadata.shape).toEqual([0, 6, 10]);
  });

  it("abort wakes everybody who waits, and what was published stays", async () => {
    const { sink, writer } = await open();
    await writer.append(rows(0, 5));
    await writer.flush();
    const errors: string[] = [];
    writer.on("error", (error) => errors.push(error.code));
    const waiting = failureOf(writer.append(rows(5, 60)));
    const flushing = failureOf(writer.flush());
    const closing = failureOf(writer.close());
    await writer.abort(new Error("stop"));
    await writer.abort();
    for (const error of [await waiting, await flushing, await closing]) expect(error.code).toBe("WRITER_ABORTED");
    expect((await failureOf(writer.append(rows(0, 1)))).code).toBe("WRITER_ABORTED");
    expect(errors).toEqual(["WRITER_ABORTED"]);
    same((await stored(sink.files)).subarray(0, 4 * ROW_BYTES), rows(0, 4));
  });

  it("the writer's own signal aborts it", async () => {
    const controller = new AbortController();
    const { writer } = await open({ signal: controller.signal });
    const waiting = failureOf(writer.append(rows(0, 60)));
    controller.abort(new Error("user"));
    const error = await waiting;
    expect(error.code).toBe("WRITER_ABORTED");
    expect((error.cause as Error).message).toBe("user");
    expect((await failureOf(writer.close())).code).toBe("WRITER_ABORTED");
  });

  it("await using closes, and aborts after an error", async () => {
    let sink: Awaited<ReturnType<typeof open>>["sink"];
    {
      const opened = await open();
      sink = opened.sink;
      await using writer = opened.writer;
      await writer.append(rows(0, 3));
    }
    same(await stored(sink.files), rows(0, 3));
    const { writer } = await open();
    await writer.abort();
    await writer[Symbol.asyncDispose]();
  });
});

describe("streams, events, metrics", () => {
  it("is a WHATWG stream, which Node's Writable takes", async () => {
    const one = await open();
    await new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < 30; i++) controller.enqueue(rows(i, i + 1));
        controller.close();
      },
    }).pipeTo(one.writer.writable);
    same(await stored(one.sink.files), rows(0, 30));
    const two = await open();
    const node = Writable.fromWeb(two.writer.writable as never);
    for (let i = 0; i < 30; i++) node.write(rows(i, i + 1));
    await new Promise<void>((resolve) => node.end(() => resolve()));
    await two.writer.close();
    same(await stored(two.sink.files), rows(0, 30));
  });

  it("writes from an iterable and passes its error on", async () => {
    const { sink, writer } = await open();
    async function* camera() {
      for (let i = 0; i < 12; i++) yield rows(i, i + 1);
      throw new Error("unplugged");
    }
    await expect(writer.writeFrom(camera())).rejects.toThrow("unplugged");
    await writer.close();
    same(await stored(sink.files), rows(0, 12));
  });

  it("tells of shards and progress, and its counts add up", async () => {
    const { sink, writer } = await open();
    const shards: { key: string; bytes: number; rowFrom: number; rowTo: number }[] = [];
    const marks: number[][] = [];
    writer.on("shard", (shard) => shards.push(shard));
    writer.on("progress", (p) => marks.push([p.accepted, p.encoded, p.delivered, p.durable, p.published]));
    const watch = setInterval(() => marks.push(Object.values(writer.watermarks)), 1);
    for (let i = 0; i < 50; i++) await writer.append(rows(i, i + 1));
    await writer.close();
    clearInterval(watch);
    const keys = [...sink.files.keys()].filter((key) => key !== "zarr.json");
    expect(shards.map((s) => s.key).sort()).toEqual(keys.sort());
    for (const { key, bytes } of shards) expect(sink.files.get(key)?.byteLength).toBe(bytes);
    expect(shards.at(-1)).toMatchObject({ rowFrom: 48, rowTo: 50 });
    const m = writer.metrics();
    expect(m.bytesIn).toBe(50 * ROW_BYTES);
    expect(m.rowsAccepted).toBe(50);
    expect(m.bytesStored).toBe(shards.reduce((sum, s) => sum + s.bytes, 0));
    expect(m.shardsSealed).toBe(keys.length);
    expect(m.chunksByRoute).toEqual({ cpu: 25 * 6, gpu: 0 });
    expect(m.stages.find((s) => s.name === "encode")?.count).toBe(13);
    expect(m.sinkPendingBytes).toBe(0);
    expect(m.sinkPendingBytesPeak).toBeGreaterThan(0);
    expect(m.appendNs.count).toBe(50);
    expect(marks.length).toBeGreaterThan(0);
    let before = [0, 0, 0, 0, 0];
    for (const mark of marks) {
      for (let k = 1; k < 5; k++) expect(mark[k]).toBeLessThanOrEqual(mark[k - 1]);
      for (let k = 0; k < 5; k++) expect(mark[k]).toBeGreaterThanOrEqual(before[k]);
      before = mark;
    }
  });
});

describe("opening", () => {
  it.each<[string, Partial<WriterOptions>]>([
    ["STORE_NOT_FOUND", { mode: "resume" }],
    ["INVALID_OPTION", { durability: "batch" }],
    ["BACKEND_UNAVAILABLE", { backend: "gpu" }],
    ["MEMORY_BUDGET_EXCEEDED", { memoryBudgetBytes: 100 }],
    ["INVALID_OPTION", { depth: 0 }],
  ])("fails with %s and makes nothing", async (code, over) => {
    const sink = memorySink();
    const opened = open({ ...over, sink });
    expect((await failureOf(opened)).code).toBe(code);
    expect(sink.files.size).toBe(0);
  });

  it("takes one writer a sink at a time", async () => {
    const { sink, writer } = await open();
    expect((await failureOf(open({ sink }))).code).toMatch(/^[A-Z_]+$/);
    await writer.close();
  });

  it("makes what estimateMemory says", async () => {
    const { writer }: { writer: ArrayWriter } = await open();
    expect(writer.plan.staging).toBe(2 * 480);
    await writer.close();
  });
});
