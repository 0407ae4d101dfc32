import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions } from "../../../src/options.js";
import { S3Sink } from "../../../src/sinks/s3.js";
import { openArray } from "../../../src/store/array_reader.js";
import { verifyStore } from "../../../src/store/verify.js";
import { openWriter } from "../../../src/writer/open_writer.js";
import { withRows } from "../../../src/zarr/with_rows.js";
import {
  type CrashedStream,
  type CrashOptions,
  checkRecovered,
  contentOf,
  crashImages,
  failedStream,
  rowsOf,
  storeOf,
} from "../../helpers/crash_images.js";
import { FakeS3, type S3Call, s3Failure } from "../../helpers/fake_s3.js";
import { inlineSpec } from "../../helpers/map_sink.js";
import { feedOn, type Stretch, stretchesOf } from "../../helpers/resume_stream.js";
import { spread, spreadCalls, times } from "../../helpers/wide.js";

/** A store on S3 that is resumed: what a crash leaves of it, and what becomes of that. */

const FILL = 9;
/** Two shards side by side, two epochs of two rows deep. */
const array = (size: number | null = null): ArrayOptions => ({
  dtype: "uint16",
  codec: "none",
  fillValue: FILL,
  dimensions: [
    { name: "t", size, chunk: 2, shard: 4 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 5 },
  ],
});

const feed = (before: Uint8Array, stretches: readonly Stretch[]) => feedOn(before, stretches, FILL);

interface Base {
  readonly s3: FakeS3;
  readonly content: Uint8Array;
}

/** A closed store. */
async function base(stretches: readonly Stretch[], options: Partial<CrashOptions> = {}): Promise<Base> {
  const s3 = new FakeS3();
  const { content } = await crashImages({ array: array(), ...options, s3 }, feed(new Uint8Array(0), stretches));
  return { s3: s3.copy(), content };
}

function resumed(b: Base, stretches: readonly Stretch[], options: Partial<CrashOptions> = {}): Promise<CrashedStream> {
  return crashImages({ array: array(), ...options, mode: "resume", s3: b.s3.copy() }, feed(b.content, stretches));
}

/** That the old rows can be read from a bucket as it is, before anybody recovers it. */
async function checkReadable(s3: FakeS3, content: Uint8Array): Promise<void> {
  const { shape } = (await openArray(storeOf(s3))).metadata;
  const { data } = await (await openArray(storeOf(s3))).readRegion();
  expect(Buffer.compare(data, content.subarray(0, data.byteLength))).toBe(0);
  expect(shape[0]).toBeGreaterThan(0);
}

const SCENES: readonly (readonly [string, number[], number[], Partial<CrashOptions>])[] = [
  ["on a row of shards", [8], [7], {}],
  ["on an epoch", [6], [7], {}],
  ["inside a chunk", [5], [8], {}],
  ["inside the first chunk of a row", [9], [2], {}],
  ["inside a chunk, and ends in it", [5], [1], {}],
  ["inside a chunk, and nothing is appended", [5], [], {}],
  ["inside a chunk, and nothing is published before the end", [5], [11], { publishIntervalMs: 1e9 }],
  ["behind skipped rows, with data", [4, 3], [9], {}],
  ["inside a chunk, and skips the rest", [5], [0, 9], {}],
  ["behind skipped rows only, and skips on", [0, 3], [0, 4, 2], {}],
  ["inside a chunk, and passes all slots by", [5], [0, 25, 6], { batchEpochs: 1 }],
  ["on a row of shards, and passes all slots by", [8], [0, 16, 6], { batchEpochs: 1, publishIntervalMs: 1e9 }],
  ["in an array with an end", [5], [6], { array: array(11) }],
  ["with shards of one part", [7], [6], { partBytes: 5000 }],
];

describe.each(SCENES)("a stream that is resumed %s and crashes at any call", (_, first, second, options) => {
  it("keeps every row that was there or durable, readable before and after it is recovered", async () => {
    const b = await base(stretchesOf(...first), options);
    const stream = await resumed(b, stretchesOf(...second), options);
    expect(stream.images.length).toBeGreaterThan(6);
    for (const image of spread(stream.images, 12)) {
      await (async () => {
        expect(rowsOf(image.s3)).toBeGreaterThanOrEqual(rowsOf(b.s3));
        await checkReadable(image.s3, stream.content);
        await checkRecovered(image, stream, true);
      })().catch((cause) => {
        throw new Error(`crashed ${image.at}`, { cause });
      });
    }
  });

  it("is resumed again after it was recovered", async () => {
    const b = await base(stretchesOf(...first), options);
    const stream = await resumed(b, stretchesOf(...second), options);
    const seen = new Set<string>();
    for (const image of spread(stream.images, 12)) {
      const s3 = await checkRecovered(image, stream, true);
      const found = JSON.stringify(contentOf(s3));
      if (seen.has(found)) continue;
      seen.add(found);
      const content = stream.content.subarray(0, rowsOf(s3) * stream.rowBytes);
      const left = (stream.content.length - content.length) / stream.rowBytes;
      // Data where the crashed stream skipped, and the other way round: nothing of what it left behind may shine
      // through.
      const again = await resumed(
        { s3, content },
        stretchesOf(Math.floor(left / 3), left - Math.floor(left / 3)),
        options,
      );
      const final = again.images.at(-1)!.s3;
      const verified = await verifyStore(storeOf(final));
      expect(verified, `crashed ${image.at}`).toMatchObject({ ok: true, defects: [], warnings: [] });
      const { data } = await (await openArray(storeOf(final))).readRegion();
      expect(Buffer.compare(data, again.content), `crashed ${image.at}`).toBe(0);
      expect(final.objects.has(MARKER_KEY)).toBe(false);
    }
  });
});

it("ends with the objects of a stream that was never cut", async () => {
  const b = await base(stretchesOf(5));
  const stream = await resumed(b, stretchesOf(9));
  const whole = await base(stretchesOf(14));
  expect(contentOf(stream.images.at(-1)!.s3)).toEqual(contentOf(whole.s3));
});

it("counts a row of shards that it began anew as durable only once it is published", async () => {
  const b = await base(stretchesOf(5));
  const { images } = await resumed(b, stretchesOf(11), { publishIntervalMs: 1e9 });
  for (const { s3, durable, at } of images) {
    // The list shows the same objects before and after they are replaced.
    if (durable < 8) continue;
    expect(rowsOf(s3), at).toBeGreaterThanOrEqual(8);
  }
  expect(images.some(({ durable }) => durable >= 8)).toBe(true);
});

it.each(["before", "after"] as const)(
  "is aborted by a failure %s any call, and keeps the rows that were there",
  async (when) => {
    const b = await base(stretchesOf(5));
    const whole = await resumed(b, stretchesOf(9));
    const calls = whole.images.length / 2;
    for (const at of spreadCalls(calls, 12)) {
      const options: CrashOptions = { array: array(), mode: "resume", s3: b.s3 };
      const image = await failedStream(options, feed(b.content, stretchesOf(9)), (s3) => {
        s3[when] = (call: S3Call) => {
          if (call.index >= at) throw s3Failure("S3_UNREACHABLE", call);
        };
      });
      await checkReadable(image.s3, whole.content);
      await checkRecovered({ ...image, durable: Math.max(5, image.durable) }, whole, true).catch((cause) => {
        throw new Error(`failed ${when} call ${at}`, { cause });
      });
    }
  },
);

it("is refused to the later of two writers that begin in the same moment, and changes nothing", async () => {
  const { s3 } = await base(stretchesOf(5));
  const before = contentOf(s3) as { objects: unknown[] };
  const other = Uint8Array.of(123, 125);
  s3.before = ({ method, key }) => {
    // Between the look whether there is a marker, and the writer's own.
    if (method === "putObject" && key === MARKER_KEY) s3.objects.set(MARKER_KEY, { bytes: other, metadata: {} });
  };
  const sink = inlineSpec(new S3Sink({ api: s3, partBytes: undefined, concurrency: 3 }));
  const opened = openWriter({ sink, array: array(), mode: "resume", threads: "inline", backend: "cpu" });
  await expect(opened).rejects.toMatchObject({ code: "STORE_NOT_CLOSED" });
  expect(s3.objects.get(MARKER_KEY)?.bytes).toBe(other);
  s3.objects.delete(MARKER_KEY);
  expect(contentOf(s3)).toEqual(before);
});

it("is refused when the store was changed while it was being opened", async () => {
  const { s3 } = await base(stretchesOf(5));
  const metadata = s3.bytes("zarr.json")!;
  s3.after = ({ method, key }) => {
    if (method !== "putObject" || key !== MARKER_KEY) return;
    s3.objects.set("zarr.json", { bytes: withRows(metadata, 4), metadata: {} });
  };
  const sink = inlineSpec(new S3Sink({ api: s3, partBytes: undefined, concurrency: 3 }));
  const opened = openWriter({ sink, array: array(), mode: "resume", threads: "inline", backend: "cpu" });
  await expect(opened).rejects.toMatchObject({ code: "RESUME_MISMATCH", context: { key: "zarr.json" } });
  expect(rowsOf(s3)).toBe(4);
  expect(s3.objects.has(MARKER_KEY)).toBe(false);
});

it("recovers every durable row of any stream that was resumed, wherever it crashes", async () => {
  const size = (max: number) => fc.integer({ min: 1, max });
  const dimension = fc.record({ chunk: size(3), chunks: size(3), size: size(6) });
  const stretches = fc.array(fc.record({ rows: fc.nat({ max: 9 }), skipped: fc.boolean() }), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(dimension, dimension),
      stretches,
      stretches,
      fc.record({
        batchEpochs: size(3),
        depth: size(3),
        concurrency: size(4),
        publishIntervalMs: fc.constantFrom(0, 1e9),
      }),
      async ([t, y], first, second, settings) => {
        const dimensions = [
          { name: "t", size: null, chunk: t.chunk, shard: t.chunk * t.chunks },
          { name: "y", size: y.size, chunk: y.chunk, shard: y.chunk * y.chunks },
        ];
        const options = {
          array: { dtype: "uint16", codec: "blosc", fillValue: FILL, dimensions },
          ...settings,
        } as const;
        const b = await base(first, options);
        const stream = await resumed(b, second, options);
        for (const image of stream.images) {
          if (!image.s3.objects.has(MARKER_KEY)) continue;
          await checkRecovered(image, stream, true).catch((cause) => {
            throw new Error(`crashed ${image.at}`, { cause });
          });
        }
        const whole = await base([...first, ...second], options);
        expect(contentOf(stream.images.at(-1)!.s3)).toEqual(contentOf(whole.s3));
      },
    ),
    { numRuns: times(8, 40) },
  );
});
