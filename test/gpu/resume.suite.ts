import { describe, expect, it } from "vitest";
import type { ArrayOptions } from "../../src/options.js";
import { memorySink } from "../../src/sinks/specs.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { appended, differing, type OpenWriter, streamOn } from "../helpers/resume_stream.js";

const array = (codec: string): ArrayOptions => ({
  dtype: "uint16",
  codec,
  dimensions: [
    { name: "t", size: null, chunk: 4, shard: 8 },
    { name: "y", size: 24, chunk: 10, shard: 20 },
    { name: "x", size: 40, chunk: 16, shard: 32 },
  ],
});

describe.skipIf(noGpu)("a stream on a GPU that is resumed", () => {
  const onGpu =
    (addon: boolean): OpenWriter =>
    (options) =>
      openGpuWriter({ ...options, backend: "gpu", allowSoftwareAdapter: true }, { addon });

  it.each([
    ["none", true],
    ["none", false],
    ["blosc", true],
    ["blosc", false],
  ])("leaves the files of one on the CPU that was never cut, codec %s, addon %s", async (codec, addon) => {
    const whole = memorySink();
    await streamOn({ sink: whole, array: array(codec) }, [appended(21)]);
    const sink = memorySink();
    // Inside a chunk, on an epoch, and again inside one; every second part on the CPU.
    for (const [part, rows] of [2, 2, 7, 10].entries()) {
      const mode = part === 0 ? "create" : "resume";
      const writer = await streamOn(
        { sink, array: array(codec), mode, batchEpochs: 2 },
        [appended(rows)],
        part % 2 === 1 ? onGpu(addon) : openWriter,
      );
      expect(writer.backend).toBe(part % 2 === 1 ? "gpu" : "cpu");
      if (part % 2 === 1) expect(writer.metrics().chunksByRoute.cpu).toBe(0);
    }
    expect(differing(sink.files, whole.files)).toEqual([]);
  });
});
