import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { leaseDevice } from "../../src/gpu/device_lease.js";
import { memorySink } from "../../src/sinks/specs.js";
import { noGpu, openGpuWriter } from "../helpers/gpu.js";
import { FaultyHost } from "../helpers/gpu_faults.js";
import { elementBytes } from "../helpers/stream_model.js";

/** Streams of one thread share a device: what one of them does with it must not reach the others. */

const ROW_BYTES = 2 * 400;
const ROWS = 24;
const data = elementBytes(0, (ROWS * ROW_BYTES) / 2, 2);

async function open(host: FaultyHost) {
  const sink = memorySink();
  const writer = await openGpuWriter(
    {
      sink,
      batchEpochs: 1,
      array: {
        dtype: "uint16",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 2, shard: 8 },
          { name: "x", size: 400, chunk: 100, shard: 200 },
        ],
      },
    },
    { host },
  );
  const warnings: string[] = [];
  writer.on("warning", ({ message }) => {
    if (message.includes("GPU")) warnings.push(message);
  });
  return { writer, sink, warnings };
}

const NOTHING = { maxBufferSize: 0, maxStorageBufferBindingSize: 0 };

describe.skipIf(noGpu)("streams that share a device", () => {
  it("take the same one, and go on together when it is lost", async () => {
    const host = new FaultyHost();
    const streams = await Promise.all([open(host), open(host)]);
    expect(host.devices.length).toBe(1);
    const appended = streams.map(({ writer }) => writer.append(data));
    host.device.crash();
    await Promise.all(appended);
    for (const { writer, warnings } of streams) {
      await writer.close();
      expect(warnings).toEqual([expect.stringContaining("nothing was lost")]);
    }
    const [a, b] = streams.map(({ sink }) => sink.files);
    expect([...a.keys()].length).toBeGreaterThan(2);
    for (const [key, bytes] of a) expect(Buffer.compare(bytes, b.get(key) as Uint8Array), key).toBe(0);
  });

  it("do not hear of each other's failures, and still hear of their own", async () => {
    const host = new FaultyHost();
    const failing = await open(host);
    const other = await open(host);
    host.at("submit", 1, () => {
      throw new TypeError("injected: no submit");
    });
    await failing.writer.append(data);
    await failing.writer.close();
    expect(failing.warnings.length).toBe(1);

    await other.writer.append(data.subarray(0, data.length / 2));
    await other.writer.flush();
    expect(other.warnings).toEqual([]);
    expect(other.writer.metrics().chunksByRoute).toMatchObject({ cpu: 0, gpu: 24 });
    // Scopes that the failure had left open would swallow this.
    host.device.offend();
    for (let i = 0; i < 50 && other.warnings.length === 0; i++) {
      await host.device.device.queue.onSubmittedWorkDone();
      await turn();
    }
    expect(other.warnings).toEqual([expect.stringContaining("nothing was lost")]);
    await other.writer.append(data.subarray(data.length / 2));
    await other.writer.close();
    expect(other.writer.metrics().chunksByRoute.cpu).toBe(24);
    for (const [key, bytes] of failing.sink.files) {
      expect(Buffer.compare(bytes, other.sink.files.get(key) as Uint8Array), key).toBe(0);
    }

    // The device that refused something is nobody's any more.
    const next = await open(host);
    expect(host.devices.length).toBe(2);
    await next.writer.append(data);
    await next.writer.close();
    expect(next.warnings).toEqual([]);
    expect(next.writer.metrics().chunksByRoute.cpu).toBe(0);
  });
});

describe.skipIf(noGpu)("a device", () => {
  it("is not given away while its last stream gives it back", async () => {
    const host = new FaultyHost();
    // Each time the one that waits is a little further when the other lets go.
    for (let steps = 0; steps < 12; steps++) {
      const last = await leaseDevice(host, true, NOTHING);
      const waiting = leaseDevice(host, true, NOTHING);
      for (let i = 0; i < steps; i++) await undefined;
      const released = last.release();
      const next = await waiting;
      await released;
      const isLost = await Promise.race([next.device.lost.then(() => true), turn(false)]);
      expect(isLost, `after ${steps} steps`).toBe(false);
      await next.release();
    }
  });

  it("is destroyed with its last lease", async () => {
    const host = new FaultyHost();
    const leases = await Promise.all([leaseDevice(host, true, NOTHING), leaseDevice(host, true, NOTHING)]);
    expect(host.devices.length).toBe(1);
    await leases[0].release();
    await leases[0].release();
    const { device } = leases[1];
    expect(await Promise.race([device.lost.then(() => true), turn(false)])).toBe(false);
    await leases[1].release();
    expect(await device.lost).toMatchObject({ reason: "destroyed" });
  });

  it("that one stream does not get is no answer to another, which asks for less", async () => {
    const host = new FaultyHost({ granted: { maxBufferSize: 2 ** 20 } });
    const large = leaseDevice(host, true, { ...NOTHING, maxBufferSize: 2 ** 21 });
    const small = leaseDevice(host, true, NOTHING);
    await expect(large).rejects.toMatchObject({ code: "BACKEND_UNAVAILABLE", context: { limit: "maxBufferSize" } });
    await (await small).release();
  });
});
