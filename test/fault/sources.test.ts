import { Writable } from "node:stream";
import { expect, it } from "vitest";
import type { MillraceError } from "../../src/base/errors.js";
import type { WriterOptions } from "../../src/options.js";
import { openArray } from "../../src/store/array_reader.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { faultySink, Gate, type SinkFault } from "../helpers/faulty_sink.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { coordinateRows, failureOf } from "../helpers/outcome.js";

/**
 * Who feeds a writer stops in the middle, fails, or gives up: no call waits for a frame or a slot that will not come.
 */
const ROW_BYTES = 2 * 12;
const rows = coordinateRows(ROW_BYTES);

async function open({ faults = [], size = null, ...over }: Options = {}) {
  const map = new MapSink();
  const writer = await openWriter({
    sink: inlineSpec(faultySink(map, faults)),
    threads: "inline",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size, chunk: 2, shard: 4 },
        { name: "x", size: 12, chunk: 5, shard: 10 },
      ],
    },
    ...over,
  });
  return { map, writer };
}
type Options = Partial<WriterOptions> & { readonly faults?: readonly SinkFault[]; readonly size?: number | null };

const stored = async (map: MapSink): Promise<Uint8Array> => (await (await openArray(map.files)).readRegion()).data;

/** Yields `count` rows and then nothing more; `waits` resolves when it is asked for the row that never comes. */
function unplugged(count: number) {
  let arrived = (): void => {};
  const waits = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  let returned = 0;
  let row = 0;
  const source: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next() {
        if (row < count) return Promise.resolve({ done: false, value: rows(row, ++row) });
        arrived();
        return new Promise(() => {});
      },
      // As a generator's, which answers only behind the row that is asked for.
      return() {
        returned++;
        return new Promise(() => {});
      },
    }),
  };
  return { source, waits, returned: () => returned };
}

it.each([
  ["abort", "WRITER_ABORTED"],
  ["close", "WRITER_CLOSED"],
] as const)("writeFrom whose source gives nothing more ends with %s", async (ending, code) => {
  const { map, writer } = await open();
  const { source, waits, returned } = unplugged(5);
  const writing = failureOf(writer.writeFrom(source));
  await waits;
  expect(returned()).toBe(0);
  await writer[ending]();
  expect((await writing).code).toBe(code);
  expect(returned()).toBe(1);
  if (ending === "close") expect(Buffer.compare(await stored(map), rows(0, 5))).toBe(0);
});

it("[source] writeFrom whose source gives nothing more ends with the failure of the sink", async () => {
  const gate = new Gate();
  const { writer } = await open({
    faults: [
      { method: "write", nth: 1, action: "hold", gate: gate.memory },
      { method: "seal", nth: 1, action: "fail", code: "DISK_FULL" },
    ],
  });
  const { source, waits, returned } = unplugged(4);
  const writing = failureOf(writer.writeFrom(source));
  await waits;
  gate.release();
  expect((await writing).code).toBe("DISK_FULL");
  expect(returned()).toBe(1);
  await writer.abort();
});

it("writeFrom that begins after the end says so, and asks the source for nothing", async () => {
  const { writer } = await open();
  await writer.close();
  let asked = false;
  const source = (function* () {
    asked = true;
    yield rows(0, 1);
  })();
  expect((await failureOf(writer.writeFrom(source))).code).toBe("WRITER_CLOSED");
  expect(asked).toBe(false);
});

it("writeFrom throws on what the source throws, once, and the writer stays open", async () => {
  const { map, writer } = await open();
  let cleaned = 0;
  async function* camera() {
    try {
      for (let i = 0; i < 7; i++) yield rows(i, i + 1);
      throw new Error("unplugged");
    } finally {
      cleaned++;
    }
  }
  await expect(writer.writeFrom(camera())).rejects.toThrow("unplugged");
  expect(cleaned).toBe(1);
  await writer.writeFrom([rows(7, 9), rows(9, 10)]);
  await writer.close();
  expect(Buffer.compare(await stored(map), rows(0, 10))).toBe(0);
});

it.each(["a generator", "an async generator"])(
  "an append that fails lets %s clean up before it is reported",
  async (kind) => {
    const { map, writer } = await open({ size: 4 });
    let cleaned = false;
    function* frames() {
      try {
        for (let i = 0; ; i++) yield rows(i, i + 1);
      } finally {
        cleaned = true;
      }
    }
    async function* later() {
      try {
        yield* frames();
      } finally {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const error = await failureOf(writer.writeFrom(kind === "a generator" ? frames() : later()));
    expect([error.code, cleaned]).toEqual(["WRITE_PAST_END", true]);
    await writer.close();
    expect(Buffer.compare(await stored(map), rows(0, 4))).toBe(0);
  },
);

/** The first write of the sink stands at the gate; `write` is a chunk that waits behind it. */
async function heldStream() {
  const gate = new Gate();
  const { map, writer } = await open({ faults: [{ method: "write", nth: 1, action: "hold", gate: gate.memory }] });
  const stream = writer.writable.getWriter();
  const write = stream.write(rows(0, 60));
  write.catch(() => {});
  stream.closed.catch(() => {});
  await gate.arrived();
  return { gate, map, writer, stream, write };
}

it("a WHATWG stream aborted while its chunk waits gives up that chunk, though the sink answers nothing", async () => {
  const { gate, map, writer, stream, write } = await heldStream();
  let ended = false;
  const aborted = stream.abort(new Error("enough")).finally(() => {
    ended = true;
  });
  const error = await failureOf(write);
  expect(error).toMatchObject({ code: "WRITER_ABORTED", cause: { message: "enough" } });
  expect((await failureOf(writer.append(rows(0, 1)))).code).toBe("WRITER_ABORTED");
  // The sink still reads the slot.
  expect([ended, map.closed]).toEqual([false, false]);
  gate.release();
  await aborted;
  expect(map.closed).toBe(true);
});

it("a pipe whose signal aborts ends while its chunk waits", async () => {
  const { gate, map, writer, stream, write } = await heldStream();
  stream.releaseLock();
  const controller = new AbortController();
  let cancelled: unknown;
  const source = new ReadableStream<Uint8Array>({
    pull: () => new Promise(() => {}),
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const piped = failureOf(source.pipeTo(writer.writable, { signal: controller.signal }));
  controller.abort(new Error("user"));
  expect((await failureOf(write)).code).toBe("WRITER_ABORTED");
  gate.release();
  expect((await piped).message).toBe("user");
  expect(cancelled).toMatchObject({ message: "user" });
  await writer.abort();
  expect(map.closed).toBe(true);
});

it.each([
  ["fails", "DISK_FULL"],
  ["is closed by itself", "WRITER_CLOSED"],
])("a pipe that waits for its source ends when the writer %s", async (how, code) => {
  const { writer } = await open(
    how === "fails" ? { faults: [{ method: "write", nth: 1, action: "fail", code: "DISK_FULL" }] } : {},
  );
  let cancelled: unknown;
  let asked = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (asked++ > 0) return new Promise(() => {});
      controller.enqueue(rows(0, 4));
    },
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const piped = failureOf(source.pipeTo(writer.writable));
  if (how !== "fails") {
    while (writer.watermarks.accepted < 4) await new Promise((resolve) => setImmediate(resolve));
    await writer.close();
  }
  expect((await piped).code).toBe(code);
  expect(cancelled).toMatchObject({ code });
  await writer.abort();
});

it("a Node stream over the writer that is destroyed while its chunk waits ends", async () => {
  const { gate, map, writer, stream } = await heldStream();
  stream.releaseLock();
  const node = Writable.fromWeb(writer.writable as never);
  const errors: unknown[] = [];
  node.on("error", (error) => errors.push(error));
  const closed = new Promise<void>((resolve) => node.on("close", resolve));
  const failed = new Promise<MillraceError>((resolve) => writer.on("error", resolve));
  node.write(rows(60, 61));
  node.destroy(new Error("consumer gone"));
  expect(await failed).toMatchObject({ code: "WRITER_ABORTED", cause: { message: "consumer gone" } });
  gate.release();
  await closed;
  await writer.abort();
  expect(map.closed).toBe(true);
  expect(errors.length).toBeGreaterThan(0);
});

it("a source that fails aborts the writer through its pipe, also while a chunk waits", async () => {
  const { gate, map, writer, stream, write } = await heldStream();
  stream.releaseLock();
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => controller.error(new Error("no more light")),
  });
  const piped = failureOf(source.pipeTo(writer.writable));
  expect(await failureOf(write)).toMatchObject({ code: "WRITER_ABORTED", cause: { message: "no more light" } });
  gate.release();
  expect((await piped).message).toBe("no more light");
  expect(map.closed).toBe(true);
});
