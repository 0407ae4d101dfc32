import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
// Worker threads run compiled code: these tests use what `npm run build` made.
import { fileSink, memorySink, openArray, openWriter, throttledSink, type WriterOptions } from "../../dist/index.js";
import {
  appended,
  contentOfFolder,
  differing,
  type OpenWriter,
  rowBytes,
  type Stretch,
  streamOn,
} from "../helpers/resume_stream.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

const array = (codec: string) => ({
  dtype: "uint16" as const,
  codec,
  dimensions: [
    { name: "t", size: null, chunk: 4, shard: 12 },
    { name: "y", size: 30, chunk: 8, shard: 16 },
    { name: "x", size: 50, chunk: 20 },
  ],
});

const stream = (options: WriterOptions, stretches: readonly Stretch[]) =>
  streamOn({ threads: "workers", batchEpochs: 1, ...options }, stretches, openWriter as unknown as OpenWriter);

it.each([
  ["none", 5],
  ["blosc", 14],
  ["zstd", 12],
])("streams on threads that are cut and resumed leave the same files, codec %s, cut at %i", async (codec, seam) => {
  const whole = fileSink(join(folder, "whole.zarr"));
  await stream({ sink: whole, array: array(codec) }, [appended(41)]);
  const sink = fileSink(join(folder, "parts.zarr"));
  await stream({ sink, array: array(codec) }, [appended(seam)]);
  await stream({ sink, array: array(codec), mode: "resume" }, [appended(3)]);
  await stream({ sink, array: array(codec), mode: "resume" }, [appended(38 - seam)]);
  expect(differing(await contentOfFolder(sink.location), await contentOfFolder(whole.location))).toEqual([]);
});

it("a memory sink is resumed across threads", async () => {
  const whole = memorySink();
  await stream({ sink: whole, array: array("blosc") }, [appended(20)]);
  const sink = memorySink();
  await stream({ sink, array: array("blosc") }, [appended(7)]);
  await stream({ sink, array: array("blosc"), mode: "resume" }, [appended(13)]);
  expect(differing(sink.files, whole.files)).toEqual([]);
});

it("readers that hold a store open see its rows at every moment of being resumed", async () => {
  const path = join(folder, "run.zarr");
  await stream({ sink: fileSink(path), array: array("blosc") }, [appended(17)]);
  // Opened before: it keeps the indexes that it has read.
  const early = await openArray(path);
  let reads = 0;
  let expected: Uint8Array | undefined;
  let goesOn = true;
  const poll = async (): Promise<void> => {
    while (goesOn) {
      for (const reader of [early, await openArray(path)]) {
        const { data } = await reader.readRegion([0, 0, 0], [17, 30, 50]);
        expected ??= data;
        expect(Buffer.compare(data, expected)).toBe(0);
        reads++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const polling = Promise.all([poll(), poll()]);
  polling.catch(() => {});
  try {
    const sink = throttledSink(fileSink(path), { latencyMs: 3 });
    for (let part = 0; part < 8; part++) {
      const writer = await stream({ sink, array: array("blosc"), mode: "resume" }, [appended(part < 4 ? 1 : 5)]);
      if (part === 0) expect(Buffer.compare(expected!, rowBytes(writer as never, 0, 17))).toBe(0);
    }
  } finally {
    goesOn = false;
  }
  await polling;
  expect(reads).toBeGreaterThan(10);
});
