import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addon, codeOf, hasAddon, runWorker, sharedBytes } from "./addon_fixture.js";

describe.runIf(hasAddon)("crc32c", () => {
  test("known values, over every kind of buffer", () => {
    expect(addon.crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(addon.crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    const shared = new Uint8Array(new SharedArrayBuffer(64)).subarray(7, 7 + 32).fill(0xff);
    expect(addon.crc32c(shared)).toBe(0x62a8ab43);
    expect(addon.crc32c(new Uint8Array(0))).toBe(0);
  });

  test("a seed continues", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(), (bytes, at) => {
        const cut = at % (bytes.length + 1);
        expect(addon.crc32c(bytes.subarray(cut), addon.crc32c(bytes.subarray(0, cut)))).toBe(addon.crc32c(bytes));
      }),
    );
  });
});

describe.runIf(hasAddon)("regions", () => {
  test("ids are never reused, and a stale one is refused", () => {
    const ids = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const id = addon.regionAdd(sharedBytes(16));
      expect(Number.isSafeInteger(id) && id >= 1).toBe(true);
      ids.add(id);
      expect(addon.regionBytes(id)).toBe(16);
      addon.regionRemove(id);
      expect(codeOf(() => addon.regionBytes(id))).toBe("NATIVE_REGION_UNKNOWN");
      expect(codeOf(() => addon.copy(id, 0, new Uint8Array(1), 0, 1))).toBe("NATIVE_REGION_UNKNOWN");
      expect(codeOf(() => addon.regionRemove(id))).toBe("NATIVE_REGION_UNKNOWN");
    }
    expect(ids.size).toBe(100);
  });

  test("a region belongs to its thread, other threads may copy into it, and it goes when its thread ends", async () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(64));
    const id = addon.regionAdd(bytes);
    const [code, theirs] = (await runWorker(
      `
      let code = "";
      try { addon.regionRemove(workerData); } catch (error) { code = error.code; }
      addon.copy(workerData, 8, Uint8Array.of(1, 2, 3), 1, 2);
      parentPort.postMessage(code);
      parentPort.postMessage(addon.regionAdd(new Uint8Array(32)));
      `,
      id,
    )) as [string, number];
    expect(code).toBe("NATIVE_REGION_THREAD");
    expect([...bytes.subarray(7, 11)]).toEqual([0, 2, 3, 0]);
    expect(codeOf(() => addon.regionBytes(theirs))).toBe("NATIVE_REGION_UNKNOWN");
    addon.regionRemove(id);
  });

  test("the address of a subarray moves with its offset", () => {
    const bytes = sharedBytes(8192);
    const base = addon.addressModulo(bytes, 4096);
    for (const offset of [1, 16, 4096 - base, 4097]) {
      expect(addon.addressModulo(bytes.subarray(offset), 4096)).toBe((base + offset) % 4096);
    }
    expect(codeOf(() => addon.addressModulo(bytes, 0))).toBe("NATIVE_ARGUMENT");
  });

  test("released pages take no memory and read as zero", () => {
    const bytes = sharedBytes(64 * 2 ** 20);
    bytes.fill(7);
    const before = process.memoryUsage.rss();
    const released = addon.releasePages(bytes);
    expect(released).toBeGreaterThan(63 * 2 ** 20);
    expect(before - process.memoryUsage.rss()).toBeGreaterThan(48 * 2 ** 20);
    expect(bytes[32 * 2 ** 20]).toBe(0);
  });
});

describe.runIf(hasAddon)("copy", () => {
  test("any view, any offsets, with and without helpers", () => {
    const target = sharedBytes(3 << 20);
    const id = addon.regionAdd(target);
    const source = sharedBytes(3 << 20).map((byte) => byte ^ 0xff);
    for (const helpers of [undefined, 1, 3]) {
      if (helpers !== undefined) expect(addon.copyStart(helpers)).toBeGreaterThanOrEqual(1);
      fc.assert(
        fc.property(
          fc.nat({ max: 5000 }),
          fc.nat({ max: 5000 }),
          fc.oneof(fc.nat({ max: 3000 }), fc.nat({ max: (3 << 20) - 5000 })),
          (dstOffset, srcOffset, length) => {
            target.fill(0x11);
            addon.copy(id, dstOffset, source, srcOffset, length);
            const expected = Buffer.alloc(target.length, 0x11);
            expected.set(source.subarray(srcOffset, srcOffset + length), dstOffset);
            expect(expected.equals(target)).toBe(true);
          },
        ),
        { numRuns: 25 },
      );
      if (helpers !== undefined) addon.copyStop();
    }
    addon.regionRemove(id);
  });

  test("every element type, and DataView, counts in bytes", () => {
    const target = new Uint8Array(new SharedArrayBuffer(64));
    const id = addon.regionAdd(target);
    const buffer = Uint8Array.from({ length: 64 }, (_, i) => i + 1).buffer;
    const views: NodeJS.ArrayBufferView[] = [
      new Int8Array(buffer, 8, 16),
      new Uint8ClampedArray(buffer, 8, 16),
      new Int16Array(buffer, 8, 8),
      new Uint16Array(buffer, 8, 8),
      new Int32Array(buffer, 8, 4),
      new Uint32Array(buffer, 8, 4),
      new Float32Array(buffer, 8, 4),
      new Float64Array(buffer, 8, 2),
      new BigInt64Array(buffer, 8, 2),
      new BigUint64Array(buffer, 8, 2),
      new DataView(buffer, 8, 16),
      Buffer.from(buffer, 8, 16),
    ];
    for (const view of views) {
      target.fill(0);
      addon.copy(id, 4, view, 3, 13);
      expect([...target.subarray(3, 19)], view.constructor.name).toEqual([0, ...new Uint8Array(buffer, 11, 13), 0, 0]);
      expect(codeOf(() => addon.copy(id, 0, view, 4, 13))).toBe("NATIVE_OUT_OF_RANGE");
    }
    addon.regionRemove(id);
  });

  test("ranges outside either side are refused", () => {
    const id = addon.regionAdd(sharedBytes(64));
    const src = new Uint8Array(32);
    addon.copy(id, 64, src, 32, 0);
    for (const [dstOffset, srcOffset, length] of [
      [33, 0, 32],
      [65, 0, 0],
      [0, 1, 32],
      [0, 33, 0],
      [0, 0, 33],
      [2 ** 53 - 1, 0, 1],
      [0, 2 ** 53 - 1, 1],
      [0, 0, 2 ** 53 - 1],
    ]) {
      expect(codeOf(() => addon.copy(id, dstOffset, src, srcOffset, length))).toBe("NATIVE_OUT_OF_RANGE");
    }
    addon.regionRemove(id);
  });

  test("source and region may be the same memory", () => {
    const bytes = sharedBytes(1 << 20);
    const id = addon.regionAdd(bytes);
    const expected = Uint8Array.from(bytes);
    expected.copyWithin(1000, 0, (1 << 20) - 1000);
    addon.copyStart(1);
    addon.copy(id, 1000, bytes, 0, (1 << 20) - 1000);
    addon.copyStop();
    expect(Buffer.compare(bytes, expected)).toBe(0);
    addon.regionRemove(id);
  });

  test("copyStop without a start on this thread is refused", async () => {
    expect(codeOf(() => addon.copyStop())).toBe("NATIVE_ARGUMENT");
    // Another thread's starts are not ours to stop, and end with that thread.
    await runWorker("parentPort.postMessage(addon.copyStart(2));");
    expect(codeOf(() => addon.copyStop())).toBe("NATIVE_ARGUMENT");
  });

  test("many workers copy into one region at once, each its own part", async () => {
    const workers = 6;
    const part = 1 << 20;
    const target = new Uint8Array(new SharedArrayBuffer(workers * part));
    const id = addon.regionAdd(target);
    await Promise.all(
      Array.from({ length: workers }, (_, worker) =>
        runWorker(
          `
          const { id, part, worker } = workerData;
          addon.copyStart(2);
          const src = new Uint8Array(part);
          for (let round = 0; round < 20; round++) {
            src.forEach((_, i) => { if (i % 1024 === 0) src[i] = worker * 32 + round; });
            addon.copy(id, worker * part, src, 0, part);
          }
          addon.copyStop();
          `,
          { id, part, worker },
        ),
      ),
    );
    for (let worker = 0; worker < workers; worker++) {
      for (let i = 0; i < part; i += 1024) expect(target[worker * part + i]).toBe((worker * 32 + 19) & 0xff);
    }
    addon.regionRemove(id);
  });
});
