import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { memorySink } from "../../src/sinks/specs.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { nodePlatform } from "../../src/writer/node_platform.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { type FaultyDevice, FaultyHost } from "../helpers/gpu_faults.js";
import { elementBytes } from "../helpers/stream_model.js";

/**
 * A device that fails costs no row: at every step of a batch it is destroyed, refuses, or gives back nonsense, and what
 * was written is what the CPU writes, with one warning. The device is real, its failures are injected.
 */
const dimensions = (y: number, x: number, chunks: readonly [number, number], shards: readonly [number, number]) =>
  [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: y, chunk: chunks[0], shard: shards[0] },
    { name: "x", size: x, chunk: chunks[1], shard: shards[1] },
  ] as const;

interface Shape {
  readonly frameBytes: number;
  readonly batchEpochs: number;
  readonly dimensions: ReturnType<typeof dimensions>;
}

/** Seven batches of a few kilobytes. */
const SMALL: Shape = { frameBytes: 24 * 40 * 2, batchEpochs: 2, dimensions: dimensions(24, 40, [10, 16], [20, 32]) };
/**
 * Two batches of three quarters of a megabyte: more than a first readback fetches, and than the producer keeps from
 * mapped memory.
 */
const LARGE: Shape = {
  frameBytes: 120 * 200 * 2,
  batchEpochs: 8,
  dimensions: dimensions(120, 200, [60, 100], [120, 200]),
};
const FRAMES = 26;

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", onUnhandled);
});
afterEach(async () => {
  for (let i = 0; i < 5; i++) await turn();
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled).toEqual([]);
});

type Files = ReadonlyMap<string, Uint8Array>;

const options = (shape: Shape) => {
  const sink = memorySink();
  return {
    sink,
    depth: 3,
    batchEpochs: shape.batchEpochs,
    array: { dtype: "uint16", codec: "none", dimensions: [...shape.dimensions] },
  } as const;
};

const references = new Map<Shape, Files>();

/** What the CPU writes. */
async function reference(shape: Shape): Promise<Files> {
  const known = references.get(shape);
  if (known !== undefined) return known;
  const given = options(shape);
  const writer = await openWriter({ ...given, backend: "cpu", threads: "inline" });
  await writer.append(elementBytes(0, (FRAMES * shape.frameBytes) / 2, 2));
  await writer.close();
  references.set(shape, given.sink.files);
  return given.sink.files;
}

interface Script {
  readonly shape?: Shape;
  readonly addon?: boolean;
  /** Frames that are added before `middle`; every one where it is left out. */
  readonly before?: number;
  opened?(writer: ArrayWriter, host: FaultyHost): unknown;
  middle?(writer: ArrayWriter, host: FaultyHost): unknown;
  /** Called without being waited for, right after `close` was. */
  closing?(writer: ArrayWriter, host: FaultyHost): unknown;
}

/** Runs a stream and holds it to the CPU's bytes. */
async function survives(
  host: FaultyHost,
  script: Script,
  cpu: "some" | "any" = "some",
  says = "nothing was lost",
): Promise<void> {
  const shape = script.shape ?? SMALL;
  const given = options(shape);
  const writer = await openGpuWriter(given, { host, addon: script.addon ?? true });
  const warnings = heard(writer);
  const bytes = elementBytes(0, (FRAMES * shape.frameBytes) / 2, 2);
  await script.opened?.(writer, host);
  const before = (script.before ?? FRAMES) * shape.frameBytes;
  await writer.append(bytes.subarray(0, before));
  await script.middle?.(writer, host);
  await writer.append(bytes.subarray(before));
  const closed = writer.close();
  await script.closing?.(writer, host);
  await closed;
  await sameAsCpu(shape, given.sink.files);
  expect(warnings).toEqual([expect.stringContaining(says)]);
  const { chunksByRoute } = writer.metrics();
  expect(chunksByRoute.cpu + chunksByRoute.gpu).toBe((FRAMES / 2) * writer.plan.chunksPerEpoch);
  if (cpu === "some") expect(chunksByRoute.cpu).toBeGreaterThan(0);
}

/** Warnings of the stream; not those of a machine without the addon. */
function heard(writer: ArrayWriter): string[] {
  const ofMachine = nodePlatform.warnings();
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => {
    if (!ofMachine.includes(message)) warnings.push(message);
  });
  return warnings;
}

async function sameAsCpu(shape: Shape, files: Files): Promise<void> {
  const expected = await reference(shape);
  expect([...files.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [key, bytes] of expected) {
    expect(Buffer.compare(bytes, files.get(key) as Uint8Array), key).toBe(0);
  }
}

/** Destroying a device unmaps its memory under the addon's copies, which a crash does not: see {@link FaultyDevice}. */
const WAYS: readonly [string, boolean, (device: FaultyDevice) => void][] = [
  ["crashes", true, (device) => device.crash()],
  ["is destroyed", false, ({ device }) => device.destroy()],
];

describe.skipIf(noGpu).each(WAYS)("a device that %s", (_, addon, end) => {
  it("before the first batch", () =>
    survives(new FaultyHost({ ownDevice: !addon }), { addon, opened: (_, host) => end(host.device) }));

  it.each([1, 5])("between unmap and submit of batch %i", (nth) => {
    const host = new FaultyHost({ ownDevice: !addon });
    host.at("unmap upload", nth, (call, device) => {
      call();
      end(device);
    });
    return survives(host, { addon });
  });

  it.each([1, 5])("while the readback of batch %i is pending", (nth) => {
    const host = new FaultyHost({ ownDevice: !addon });
    host.at("map readback", nth, (call, device) => {
      const pending = call();
      end(device);
      return pending;
    });
    return survives(host, { addon });
  });

  it("before the rest of a readback is asked for", () => {
    const host = new FaultyHost({ ownDevice: !addon });
    host.at("submit rest", 1, (call, device) => {
      end(device);
      return call();
    });
    return survives(host, { addon, shape: LARGE });
  });

  it("while the rest of a readback is pending", () => {
    const host = new FaultyHost({ ownDevice: !addon });
    host.at("map rest", 1, (call, device) => {
      const pending = call();
      end(device);
      return pending;
    });
    return survives(host, { addon, shape: LARGE });
  });

  it.each([1, 4])("while the upload buffer of batch %i is being mapped again", (nth) => {
    const host = new FaultyHost({ ownDevice: !addon });
    host.at("map upload", nth, (call, device) => {
      const pending = call();
      end(device);
      return pending;
    });
    return survives(host, { addon });
  });

  it("when its batch is back and only the upload buffer is not", () => {
    const host = new FaultyHost({ ownDevice: !addon });
    // Later than any readback.
    host.at("map upload", 2, async (call, device) => {
      await call();
      for (let i = 0; i < 50; i++) await turn();
      end(device);
      throw new Error("injected: not mapped");
    });
    return survives(host, { addon });
  });

  it("during flush", () =>
    survives(new FaultyHost({ ownDevice: !addon }), {
      addon,
      before: 18,
      middle: async (writer, host) => {
        const flushed = writer.flush();
        end(host.device);
        await flushed;
      },
    }));

  it("during close", () =>
    survives(new FaultyHost({ ownDevice: !addon }), { addon, closing: (_, host) => end(host.device) }));

  it("during abort: what was published stays readable, and abort ends", async () => {
    const host = new FaultyHost({ ownDevice: !addon });
    const given = options(SMALL);
    const writer = await openGpuWriter(given, { host, addon });
    const bytes = elementBytes(0, (FRAMES * SMALL.frameBytes) / 2, 2);
    await writer.append(bytes.subarray(0, 8 * SMALL.frameBytes));
    await writer.flush();
    const rest = writer.append(bytes.subarray(8 * SMALL.frameBytes));
    rest.catch(() => {});
    const aborted = writer.abort();
    end(host.device);
    await aborted;
    await rest.catch(() => {});
    const expected = await reference(SMALL);
    for (const [key, file] of given.sink.files) {
      if (key !== "zarr.json") expect(Buffer.compare(file, expected.get(key) as Uint8Array), key).toBe(0);
    }
    expect(given.sink.files.size).toBeGreaterThan(4);
  });
});

describe.skipIf(noGpu)("a device that is lost while its memory stays mapped", () => {
  it("while the producer fills a slot, half of it copied to mapped memory", () =>
    survives(new FaultyHost(), {
      shape: LARGE,
      before: 12,
      middle: (_, host) => host.device.loseQuietly(),
    }));

  it("with a reservation open", () =>
    survives(new FaultyHost(), {
      before: 9,
      middle: async (writer, host) => {
        const room = writer.reserve(SMALL.frameBytes) as Uint8Array;
        host.device.loseQuietly();
        for (let i = 0; i < 5; i++) await turn();
        room.fill(0);
        writer.commit(0);
      },
    }));

  it.each(["submit", "map readback", "read readback", "map upload"] as const)("at %s", (step) => {
    const host = new FaultyHost();
    host.at(step, 3, (call, device) => {
      device.loseQuietly();
      return call();
    });
    return survives(host, {});
  });

  it("when every batch is back", () =>
    survives(
      new FaultyHost(),
      {
        middle: async (writer, host) => {
          while (writer.watermarks.encoded < 24) await turn();
          await writer.skip(0);
          await writer.flush();
          expect(writer.metrics().chunksByRoute.gpu).toBeGreaterThan(0);
          host.device.loseQuietly();
          for (let i = 0; i < 5; i++) await turn();
        },
      },
      "any",
    ));
});

describe.skipIf(noGpu)("a device that refuses", () => {
  it.each([1, 3])("submit %i, which throws", (nth) => {
    const host = new FaultyHost();
    host.at("submit", nth, () => {
      throw new TypeError("injected: no submit");
    });
    return survives(host, {});
  });

  it("and begins what it says with an empty line", () => {
    const host = new FaultyHost();
    host.at("submit", 1, () => {
      throw new Error("\n  injected: the first line\n - and the next");
    });
    return survives(host, {}, "some", "nothing was lost. injected: the first line");
  });

  it.each([1, 3])("submit %i, by its error scope", (nth) => {
    const host = new FaultyHost();
    // Not submitted: what is mapped then is what the slot held before.
    host.at("submit", nth, (_, device) => device.offend());
    return survives(host, {});
  });

  it("memory for a submit", () => {
    const host = new FaultyHost();
    host.at("submit", 2, (call, device) => {
      device.outOfMemory = true;
      return call();
    });
    return survives(host, {});
  });

  it("the copy of a readback's rest, by its error scope", () => {
    const host = new FaultyHost();
    host.at("submit rest", 1, (_, device) => device.offend());
    return survives(host, { shape: LARGE });
  });

  it.each(["map readback", "map upload"] as const)("%s", (step) => {
    const host = new FaultyHost();
    host.at(step, 2, () => Promise.reject(new Error("injected: no map")));
    return survives(host, {});
  });

  it.each(["map readback", "map upload"] as const)("%s, at once", (step) => {
    const host = new FaultyHost();
    host.at(step, 2, () => {
      throw new Error("injected: no map");
    });
    return survives(host, {});
  });

  it("to map a readback's rest", () => {
    const host = new FaultyHost();
    host.at("map rest", 1, () => Promise.reject(new Error("injected: no map")));
    return survives(host, { shape: LARGE });
  });

  it("several things at once: one warning", () => {
    const host = new FaultyHost();
    for (const step of ["submit", "map readback", "map upload"] as const) {
      host.at(step, 2, (call, device) => {
        device.crash();
        call();
        throw new Error("injected: nothing works");
      });
    }
    return survives(host, {});
  });

  it("something that no scope caught", () => {
    const host = new FaultyHost();
    host.at("map readback", 2, (call, device) => {
      device.offend();
      return call();
    });
    return survives(host, {});
  });
});

describe.skipIf(noGpu)("a device that gives back", () => {
  it.each([
    ["another batch", 1, 7],
    ["more bytes than there can be", 0, 0xffffffff],
  ])("%s", (_, word, value) => {
    const host = new FaultyHost();
    host.at("read readback", 3, (call) => {
      const mapped = call() as ArrayBuffer;
      new Uint32Array(mapped, 0, 4)[word] = value;
      return mapped;
    });
    return survives(host, {});
  });
});
