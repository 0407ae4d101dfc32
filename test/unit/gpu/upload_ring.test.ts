import { expect, it } from "vitest";
import type { GpuMemory } from "../../../src/gpu/gpu_memory.js";
import { UploadRing } from "../../../src/gpu/upload_ring.js";
import type { NativeAddon } from "../../../src/native/addon.js";
import { Mirror } from "../../../src/staging/mirror.js";

/** Mapped memory that the producer, on another thread, copies into, and the moments at which it is taken away. */

const BYTES = 1024 * 1024;

class FakeBuffer {
  memory = new Uint8Array(BYTES);
  state: "mapped" | "pending" | "unmapped" = "mapped";
  #map: { resolve: () => void; reject: (error: Error) => void } | undefined;

  getMappedRange(): ArrayBuffer {
    expect(this.state).toBe("mapped");
    return this.memory.buffer;
  }

  unmap(): void {
    expect(this.state).toBe("mapped");
    this.state = "unmapped";
  }

  mapAsync(): Promise<void> {
    this.state = "pending";
    return new Promise((resolve, reject) => {
      this.#map = { resolve, reject };
    });
  }

  async settle(error?: Error): Promise<void> {
    this.state = error === undefined ? "mapped" : "unmapped";
    if (error === undefined) this.#map?.resolve();
    else this.#map?.reject(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The addon's table of regions: copies into what is not in it are refused, and one that is in use stays. */
class FakeRegions {
  readonly regions = new Map<number, Uint8Array>();
  readonly busy = new Set<number>();
  /** Removals of a region in use. */
  refused = 0;
  #last = 0;

  regionAdd(bytes: Uint8Array): number {
    this.regions.set(++this.#last, bytes);
    return this.#last;
  }

  regionRemove(id: number): void {
    if (this.busy.has(id)) {
      this.refused++;
      throw Object.assign(new Error("busy"), { code: "NATIVE_REGION_BUSY" });
    }
    this.regions.delete(id);
  }

  copy(id: number, to: number, src: Uint8Array, from: number, length: number): void {
    const region = this.regions.get(id);
    if (region === undefined) throw Object.assign(new Error("unknown"), { code: "NATIVE_REGION_UNKNOWN" });
    region.set(src.subarray(from, from + length), to);
  }
}

function setUp(slots = 2) {
  const memory: GpuMemory = {
    staging: Array.from({ length: slots }, () => new Uint8Array(BYTES).map((_, i) => i * 7 + (i >> 8))),
    output: [],
    sizes: [],
    offsets: [],
    mirrorRegions: new Float64Array(slots),
    mirroredBytes: new Float64Array(slots),
  };
  const buffers = memory.staging.map(() => new FakeBuffer());
  const table = new FakeRegions();
  const addon = table as unknown as NativeAddon;
  const ring = new UploadRing(buffers as unknown as GPUBuffer[], memory, addon);
  return { memory, buffers, table, ring, mirror: new Mirror(memory, addon) };
}

it("a taken buffer holds the slot's bytes, however many of them the producer had copied", async () => {
  for (const mirrored of [0, 300_000, 600_000]) {
    const { memory, buffers, ring, mirror } = setUp();
    mirror.upTo(0, mirrored, false);
    expect(memory.mirroredBytes[0]).toBe(mirrored);
    await ring.take(0, 600_000);
    expect(buffers[0].state).toBe("unmapped");
    expect(Buffer.compare(buffers[0].memory.subarray(0, 600_000), memory.staging[0].subarray(0, 600_000))).toBe(0);
    await ring.close();
  }
});

it("does not unmap while a copy is in the memory", async () => {
  const { memory, buffers, table, ring } = setUp();
  const region = memory.mirrorRegions[1];
  table.busy.add(region);
  let isClosed = false;
  const closed = ring.close().then(() => {
    isClosed = true;
  });
  while (table.refused < 3 && !isClosed) await new Promise((resolve) => setImmediate(resolve));
  expect(isClosed).toBe(false);
  expect(table.regions.has(region)).toBe(true);
  expect(buffers[1].state).toBe("mapped");
  table.busy.clear();
  await closed;
  expect([...table.regions]).toEqual([]);
  expect([...memory.mirrorRegions]).toEqual([0, 0]);
});

it("a copy that comes when the memory has been taken away is left to the engine", async () => {
  const { memory, table, ring, mirror } = setUp();
  const region = memory.mirrorRegions[0];
  await ring.close();
  // What the producer sees when it looked at the table a moment before.
  memory.mirrorRegions[0] = region;
  mirror.upTo(0, 500_000, true);
  expect(memory.mirroredBytes[0]).toBe(0);
  expect([...table.regions]).toEqual([]);
});

it("memory that is mapped again after the end is not lent", async () => {
  const { memory, buffers, table, ring } = setUp();
  await ring.take(0, 1000);
  const again = ring.giveBack(0);
  await ring.close();
  await buffers[0].settle();
  await again;
  expect([...table.regions]).toEqual([]);
  expect([...memory.mirrorRegions]).toEqual([0, 0]);
});

it("memory that is not mapped again fails the next take of that slot, and no other", async () => {
  const { memory, buffers, ring } = setUp();
  await ring.take(0, 1000);
  const again = ring.giveBack(0);
  await Promise.all([expect(again).rejects.toThrow("no map"), buffers[0].settle(new Error("no map"))]);
  expect(memory.mirrorRegions[0]).toBe(0);
  await expect(ring.take(0, 1000)).rejects.toThrow("no map");
  await ring.take(1, 1000);
});

it("a process that leaves takes everything away at once", () => {
  const { memory, table, ring, mirror } = setUp();
  ring.leave();
  expect([...table.regions]).toEqual([]);
  mirror.upTo(0, 500_000, true);
  expect([...memory.mirroredBytes]).toEqual([0, 0]);
});
