import { beforeEach, expect, it, vi } from "vitest";
import { MillraceError } from "../../src/base/errors.js";
import type { Backend, StagedBatch } from "../../src/handoff/backend.js";
import type { OpenBackend } from "../../src/pipeline/engine.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { RecordingSink } from "../helpers/faulty_sink.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";
import { codeOf } from "../helpers/outcome.js";
import { elementBytes } from "../helpers/stream_model.js";

/** A backend that fails: when it opens, in the middle of the stream, when it closes; or that does not answer. */
const plan = vi.hoisted(() => ({
  openFails: false,
  closeFails: false,
  failAt: 0,
  inFlight: 0,
  closed: 0,
  /** What batches wait for before they are answered. */
  silence: undefined as Promise<void> | undefined,
}));

class FailingBackend implements Backend {
  readonly kind = "cpu";
  readonly adapter = "failing";
  readonly #inner: Backend;
  #wake = (): void => {};
  readonly #laterDone = new Promise<void>((resolve) => {
    this.#wake = resolve;
  });

  constructor(inner: Backend) {
    this.#inner = inner;
  }

  async kick(batch: StagedBatch): Promise<void> {
    plan.inFlight++;
    try {
      await this.#inner.kick(batch);
      await plan.silence;
      if (batch.outputGeneration === plan.failAt) {
        // As late as can be: the batch behind it is encoded, and with delivery.
        await this.#laterDone;
        for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
        throw new MillraceError("CODEC_FAILED", "injected: the codec failed.");
      }
      if (batch.outputGeneration > plan.failAt) this.#wake();
    } finally {
      plan.inFlight--;
    }
  }

  async close(): Promise<void> {
    expect(plan.inFlight).toBe(0);
    plan.closed++;
    await this.#inner.close();
    if (plan.closeFails) throw new MillraceError("INTERNAL", "injected: close failed.");
  }
}

vi.mock("../../src/pipeline/open_backend.js", async (importOriginal) => {
  const { openBackend } = await importOriginal<{ openBackend: OpenBackend }>();
  const failing: OpenBackend = async (...given) => {
    if (plan.openFails) throw new MillraceError("CODEC_UNAVAILABLE", "injected: no codec here.");
    return new FailingBackend(await openBackend(...given));
  };
  return { openBackend: failing };
});

const ROW_BYTES = 2 * 12;
const ROWS = 24;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

beforeEach(() => {
  Object.assign(plan, { openFails: false, closeFails: false, failAt: 0, inFlight: 0, closed: 0, silence: undefined });
});

function open(sink: RecordingSink) {
  return openWriter({
    sink: inlineSpec(sink),
    threads: "inline",
    batchEpochs: 1,
    depth: 3,
    publishIntervalMs: 0,
    array: {
      dtype: "uint16",
      codec: "none",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 4 },
        { name: "x", size: 12, chunk: 5, shard: 10 },
      ],
    },
  });
}

async function publishedRows(map: MapSink): Promise<number> {
  const array = await openArray(map.files);
  const rows = array.metadata.shape[0];
  expect(Buffer.compare((await array.readRegion()).data, data.subarray(0, rows * ROW_BYTES))).toBe(0);
  expect((await verifyStore(map.files)).defects).toEqual([]);
  return rows;
}

it("a backend that does not open is openWriter's error, and the sink is closed", async () => {
  plan.openFails = true;
  const map = new MapSink();
  await expect(open(new RecordingSink(map))).rejects.toMatchObject({ code: "CODEC_UNAVAILABLE" });
  expect(map.closed).toBe(true);
});

// Two batches are one row of shards; the batch behind the failing one may complete a row that has a gap.
it.each([1, 2, 3, 4, 5, 6])("a codec that fails on batch %i: no row behind the gap is published", async (failAt) => {
  plan.failAt = failAt;
  const map = new MapSink();
  const sink = new RecordingSink(map);
  const writer = await open(sink);
  const errors: string[] = [];
  writer.on("error", ({ code }) => errors.push(code));
  const calls = [writer.append(data), writer.append(data), writer.flush()];
  for (const result of await Promise.allSettled(calls)) {
    expect(result).toMatchObject({ status: "rejected", reason: { code: "CODEC_FAILED" } });
  }
  await expect(writer.close()).rejects.toMatchObject({ code: "CODEC_FAILED" });
  await expect(writer.append(data)).rejects.toMatchObject({ code: "CODEC_FAILED" });
  expect(errors).toEqual(["CODEC_FAILED"]);
  expect(await publishedRows(map)).toBeLessThanOrEqual((failAt - 1) * 2);
  for (const key of map.files.keys()) {
    // A shard is visible only when all of its batches were good.
    if (key !== "zarr.json") expect(Number(key.split("/")[1]) * 2 + 2).toBeLessThan(failAt);
  }
  expect(sink.violations).toEqual([]);
  expect(map.closed).toBe(true);
  expect(plan.closed).toBe(1);
});

it.each([3, 4, 5, 6])("a codec that fails on batch %i keeps what was published before it", async (failAt) => {
  plan.failAt = failAt;
  const map = new MapSink();
  const writer = await open(new RecordingSink(map));
  const before = (failAt - 1) * 2 * ROW_BYTES;
  await writer.append(data.subarray(0, before));
  await writer.flush();
  expect(await codeOf(writer.append(data.subarray(before)).then(() => writer.close()))).toBe("CODEC_FAILED");
  await writer.abort();
  expect(await publishedRows(map)).toBe(Math.floor((failAt - 1) / 2) * 4);
});

it("a flush does not succeed over a batch that failed", async () => {
  plan.failAt = 2;
  const writer = await open(new RecordingSink(new MapSink()));
  await writer.append(data.subarray(0, 6 * ROW_BYTES));
  await expect(writer.flush()).rejects.toMatchObject({ code: "CODEC_FAILED" });
  await writer.abort();
});

it("a backend that fails to close is reported once everything is stored", async () => {
  plan.closeFails = true;
  const map = new MapSink();
  const writer = await open(new RecordingSink(map));
  await writer.append(data);
  await expect(writer.close()).rejects.toMatchObject({ code: "INTERNAL" });
  expect(await publishedRows(map)).toBe(ROWS);
});

it.each(["the answer", "an abort"])(
  "a backend that does not answer holds append, is named, and ends with %s",
  async (ending) => {
    let answer = (): void => {};
    plan.silence = new Promise((resolve) => {
      answer = resolve;
    });
    const map = new MapSink();
    const sink = new RecordingSink(map);
    const writer = await open(sink);
    let appended = false;
    const append = writer.append(data).then(() => {
      appended = true;
    });
    const waits = (): string[] => writer.metrics().waiting.map(({ owner, rule }) => `${owner} ${rule}`);
    const turns = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    await turns();
    expect([appended, writer.tryAppend(data)]).toEqual([false, 0]);
    expect(waits()).toEqual(["producer STAGING_FREE", "engine BATCH_FILLED", "engine ENCODED", "delivery ENCODED"]);
    if (ending === "the answer") {
      answer();
      await append;
      await writer.close();
      expect(await publishedRows(map)).toBe(ROWS);
    } else {
      const aborted = writer.abort();
      await expect(append).rejects.toMatchObject({ code: "WRITER_ABORTED" });
      await turns();
      // The memory that batches are encoded in is not given back before.
      expect([plan.closed, waits()[0]]).toEqual([0, "producer STOP_JOIN_BEFORE_RELEASE"]);
      answer();
      await aborted;
      expect(await publishedRows(map)).toBe(0);
    }
    expect([plan.closed, plan.inFlight, waits()]).toEqual([1, 0, []]);
    expect(sink.violations).toEqual([]);
  },
);
