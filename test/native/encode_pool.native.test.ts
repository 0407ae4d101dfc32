import { describe, expect, test } from "vitest";
import type { EncodeJob, EncodePoolHandle, GatherHandle } from "../../src/native/addon.js";
import { addon, codeOf, hasAddon, runWorker } from "./addon_fixture.js";

// Frames of 12 × 20 uint16 cut into chunks of one frame × 5 × 8: both edges are partial.
const [ROWS, COLUMNS, CHUNK_ROWS, CHUNK_COLUMNS, DOWN, ACROSS] = [12, 20, 5, 8, 3, 3];
const CHUNK_BYTES = CHUNK_ROWS * CHUNK_COLUMNS * 2;
const FILL = 0x1234;

function makeGather(): GatherHandle {
  return addon.gatherCreate({
    itemBytes: 2,
    chunkShape: Uint32Array.of(1, CHUNK_ROWS, CHUNK_COLUMNS),
    srcStrides: Float64Array.of(ROWS * COLUMNS * 2, COLUMNS * 2, 2),
    fill: new Uint8Array(Uint16Array.of(FILL).buffer),
  });
}

function makeBatch(frames: number) {
  const chunkCount = frames * DOWN * ACROSS;
  const shared = new Uint16Array(new SharedArrayBuffer(frames * ROWS * COLUMNS * 2));
  for (let i = 0; i < shared.length; i++) shared[i] = i + 1;
  const dst = new Uint8Array(new SharedArrayBuffer(chunkCount * CHUNK_BYTES));
  const sizes = new Uint32Array(new SharedArrayBuffer((chunkCount + 3) * 4));
  const regions = [new Uint8Array(shared.buffer), dst, new Uint8Array(sizes.buffer)].map((each) =>
    addon.regionAdd(each),
  );
  const extents: number[] = [];
  const srcOffsets: number[] = [];
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const y = (Math.floor(chunk / ACROSS) % DOWN) * CHUNK_ROWS;
    const x = (chunk % ACROSS) * CHUNK_COLUMNS;
    srcOffsets.push(((Math.floor(chunk / (DOWN * ACROSS)) * ROWS + y) * COLUMNS + x) * 2);
    extents.push(1, Math.min(CHUNK_ROWS, ROWS - y), Math.min(CHUNK_COLUMNS, COLUMNS - x));
  }
  const job: EncodeJob = {
    gather: makeGather(),
    srcRegion: regions[0],
    dstRegion: regions[1],
    sizesRegion: regions[2],
    sizesOffset: 8,
    chunkCount,
    srcOffsets: Float64Array.from(srcOffsets),
    dstOffsets: Float64Array.from(srcOffsets, (_, chunk) => chunk * CHUNK_BYTES),
    extents: Uint32Array.from(extents),
    dstCapacityBytes: CHUNK_BYTES,
    codec: 0,
  };
  const check = () => {
    const got = new Uint16Array(dst.buffer);
    const expected = got.map((_, i) => {
      const [chunk, element] = [Math.floor(i / (CHUNK_BYTES / 2)), i % (CHUNK_BYTES / 2)];
      const y = (Math.floor(chunk / ACROSS) % DOWN) * CHUNK_ROWS + Math.floor(element / CHUNK_COLUMNS);
      const x = (chunk % ACROSS) * CHUNK_COLUMNS + (element % CHUNK_COLUMNS);
      const frame = Math.floor(chunk / (DOWN * ACROSS));
      return y < ROWS && x < COLUMNS ? shared[(frame * ROWS + y) * COLUMNS + x] : FILL;
    });
    expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(expected.buffer))).toBe(0);
    expect([...sizes]).toEqual([0, 0, ...Array.from({ length: chunkCount }, () => CHUNK_BYTES), 0]);
  };
  const release = () => {
    for (const id of regions) addon.regionRemove(id);
  };
  return { job, regions, check, release };
}

function submit(pool: EncodePoolHandle, job: EncodeJob): Promise<number> {
  return new Promise((resolve, reject) =>
    addon.encodePoolSubmit(pool, job, (error, busyNs) => (error === null ? resolve(busyNs) : reject(error))),
  );
}

function close(pool: EncodePoolHandle): Promise<void> {
  return new Promise((resolve) => addon.encodePoolClose(pool, resolve));
}

describe.runIf(hasAddon)("gather", () => {
  test("one chunk, as the pool does it", () => {
    const src = Uint16Array.from({ length: ROWS * COLUMNS }, (_, i) => i);
    const dst = new Uint16Array(CHUNK_BYTES / 2 + 3);
    addon.gather(
      makeGather(),
      new Uint8Array(src.buffer),
      (10 * COLUMNS + 16) * 2,
      Uint32Array.of(1, 2, 4),
      new Uint8Array(dst.buffer),
      4,
    );
    const row = (y: number) => [0, 1, 2, 3].map((x) => (10 + y) * COLUMNS + 16 + x);
    const pad = (n: number) => Array.from({ length: n }, () => FILL);
    expect([...dst]).toEqual([0, 0, ...row(0), ...pad(4), ...row(1), ...pad(4), ...pad(24), 0]);
  });

  test("boxes outside the source or the destination are refused", () => {
    const gather = makeGather();
    const src = new Uint8Array(ROWS * COLUMNS * 2);
    const dst = new Uint8Array(CHUNK_BYTES);
    const full = Uint32Array.of(1, CHUNK_ROWS, CHUNK_COLUMNS);
    addon.gather(gather, src, 0, full, dst, 0);
    expect(codeOf(() => addon.gather(gather, src, 7 * COLUMNS * 2 + 26, full, dst, 0))).toBe("NATIVE_OUT_OF_RANGE");
    expect(codeOf(() => addon.gather(gather, src, 0, full, dst, 1))).toBe("NATIVE_OUT_OF_RANGE");
    expect(codeOf(() => addon.gather(gather, src, 0, Uint32Array.of(1, 6, 8), dst, 0))).toBe("NATIVE_OUT_OF_RANGE");
    expect(codeOf(() => addon.gather(gather, src, 0, Uint32Array.of(1, 5), dst, 0))).toBe("NATIVE_ARGUMENT");
    addon.gather(gather, src, 2 ** 52, Uint32Array.of(0, 5, 8), dst, 0); // an empty box reads nothing
    expect(new Uint16Array(dst.buffer).every((value) => value === FILL)).toBe(true);
  });
});

describe.runIf(hasAddon)("encode pool", () => {
  test("jobs of several sizes, all in place, and close comes last", async () => {
    const pool = addon.encodePoolCreate(3);
    const batches = Array.from({ length: 40 }, (_, i) => makeBatch((i % 8) + 1));
    const finished: number[] = [];
    const running = batches.map(async ({ job, check }, i) => {
      expect(await submit(pool, job)).toBeGreaterThanOrEqual(0);
      finished.push(i);
      check();
    });
    running.push(submit(pool, { ...batches[0].job, chunkCount: 0 }).then(() => undefined));
    await close(pool);
    expect(finished.length).toBe(40);
    await Promise.all(running);
    for (const batch of batches) batch.release();
    expect(codeOf(() => addon.encodePoolSubmit(pool, batches[0].job, () => {}))).toBe("NATIVE_POOL_CLOSED");
    expect(codeOf(() => addon.encodePoolClose(pool, () => {}))).toBe("NATIVE_POOL_CLOSED");
  });

  test("regions of a job are busy until it is done; a copy meanwhile works", async () => {
    const pool = addon.encodePoolCreate(1);
    let refused = "";
    // On a busy machine this thread may be away for as long as all jobs take; not every time, so this ends.
    while (refused === "") {
      const batch = makeBatch(200);
      const jobs = Array.from({ length: 50 }, () => submit(pool, batch.job));
      refused = codeOf(() => addon.regionRemove(batch.regions[0]));
      addon.copy(batch.regions[2], 0, new Uint8Array(8), 0, 8);
      await Promise.all(jobs);
      batch.check();
      if (refused === "NATIVE_REGION_BUSY") batch.release();
    }
    expect(refused).toBe("NATIVE_REGION_BUSY");
    await close(pool);
  });

  test("a bad chunk fails its job by number and no other", async () => {
    const pool = addon.encodePoolCreate(2);
    const bad = makeBatch(3);
    const good = makeBatch(3);
    bad.job.srcOffsets[11] = 1e6;
    const failed = submit(pool, bad.job);
    const fine = submit(pool, good.job);
    await expect(failed).rejects.toMatchObject({
      code: "NATIVE_OUT_OF_RANGE",
      message: expect.stringContaining("chunk 11"),
    });
    await fine;
    good.check();
    bad.release();
    good.release();
    await close(pool);
  });

  test("misuse throws at once and takes no job", async () => {
    const pool = addon.encodePoolCreate(1);
    const batch = makeBatch(2);
    const code = (change: Record<string, unknown>) =>
      codeOf(() => addon.encodePoolSubmit(pool, { ...batch.job, ...change } as EncodeJob, () => {}));
    expect(code({ codec: 999_999 })).toBe("NATIVE_CODEC_UNKNOWN");
    expect(code({ srcRegion: 1 })).toBe("NATIVE_REGION_UNKNOWN");
    expect(code({ chunkCount: 19 })).toBe("NATIVE_ARGUMENT");
    expect(code({ dstOffsets: new Float64Array(18).fill(0.5) })).toBe("NATIVE_ARGUMENT");
    expect(code({ extents: new Uint32Array(3) })).toBe("NATIVE_ARGUMENT");
    expect(code({ dstCapacityBytes: CHUNK_BYTES - 1 })).toBe("NATIVE_OUT_OF_RANGE");
    expect(code({ sizesOffset: 16 })).toBe("NATIVE_OUT_OF_RANGE");
    expect(code({ sizesOffset: 2 })).toBe("NATIVE_ARGUMENT");
    expect(code({ gather: {} })).toBe("NATIVE_ARGUMENT");
    batch.release(); // nothing is pinned
    await close(pool);
  });

  test("pools in many workers at once, closed or left to the worker's end", async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        runWorker(
          `
          const { pool, regions, src, dst } = startWork(4, 8, (error, busyNs) => {
            if (error !== null) throw error;
            if (!(busyNs > 0) || Buffer.compare(src, dst) !== 0) throw new Error("wrong bytes");
            parentPort.postMessage("done");
          });
          if (${i} % 2 === 0) {
            addon.encodePoolClose(pool, () => {
              for (const id of regions) addon.regionRemove(id);
              parentPort.postMessage("closed");
            });
          }
          `,
        ),
      ),
    );
    for (const [i, messages] of results.entries()) {
      expect(messages).toEqual(["done", "done", "done", "done", ...(i % 2 === 0 ? ["closed"] : [])]);
    }
  });
});
