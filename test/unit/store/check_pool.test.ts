import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CheckPool } from "../../../src/store/check_pool.js";
import { type ChunkSpan, chunkSpans } from "../../../src/store/chunk_windows.js";
import { type ArrayCheck, openArrayCheck } from "../../../src/store/verify_array.js";
import { parseArrayMetadata } from "../../../src/zarr/parse_metadata.js";
import { decodeShardIndex, type ShardIndex } from "../../../src/zarr/shard_index.js";
import { type CraftedArray, craftStore } from "../../helpers/craft_store.js";

/** The built thread: a Worker loads no TypeScript. */
const ENTRY = new URL("../../../dist/store/check_thread.js", import.meta.url);
const ARRAY: CraftedArray = {
  dtype: "uint16",
  shape: [16, 12],
  chunk: [2, 4],
  shard: [16, 12],
  codec: { name: "zstd", level: 1 },
};
const going = () => false;

let folder: string;
let array: ArrayCheck;
let shard: Uint8Array;
let index: ShardIndex;
let order: Uint32Array;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-pool-"));
  const { objects } = await craftStore(ARRAY);
  array = (await openArrayCheck("", parseArrayMetadata(objects.get("zarr.json")!))) as ArrayCheck;
  shard = objects.get("c/0/0")!;
  const bytes = shard.subarray(-array.layout.indexBytes);
  const decoded = decodeShardIndex(bytes, { chunkCount: 24, objectBytes: shard.length });
  index = decoded.index!;
  order = decoded.order;
});
afterAll(() => rm(folder, { recursive: true }));

/** Chunks `from` up to `to`, some of them damaged, over memory of their own. */
function windowOf(from: number, to: number, damaged: readonly number[]) {
  const [span] = [...chunkSpans(index, order.slice(from, to), 16)] as [ChunkSpan];
  const bytes = shard.slice(span.offset, span.offset + span.nbytes);
  for (const at of damaged) bytes[span.starts[at]] ^= 0xff;
  return { bytes, chunks: span.chunks, starts: span.starts, lengths: span.lengths };
}

/** A pool whose threads are there: before that it decodes on this thread. */
async function withThreads(pool: CheckPool): Promise<CheckPool> {
  for (let i = 0; i < 2000 && !pool.threaded; i++) {
    await pool.check(array, windowOf(0, 2, []), going);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(pool.threaded).toBe(true);
  return pool;
}

async function script(name: string, text: string): Promise<URL> {
  const path = join(folder, name);
  await writeFile(path, text);
  return pathToFileURL(path);
}

describe("CheckPool", () => {
  it("gives from threads what it gives without", async () => {
    const inline = new CheckPool(0);
    const pool = await withThreads(new CheckPool(2, ENTRY, 0));
    const windows = Array.from({ length: 20 }, (_, i) => [i % 5, (i % 5) + 5, i % 3 === 0 ? [1, 3] : []] as const);
    const expected = [];
    for (const window of windows) expected.push(await inline.check(array, windowOf(...window), going));
    expect(expected[0]).toMatchObject({ bytesDecoded: 48, bad: [{ at: 1, code: "CHUNK_DECODE" }, { at: 3 }] });
    expect(await Promise.all(windows.map((window) => pool.check(array, windowOf(...window), going)))).toEqual(expected);
    pool.close();
    pool.close();
  });

  it("decodes a view of larger memory, and leaves that alone", async () => {
    const pool = await withThreads(new CheckPool(1, ENTRY, 0));
    const window = windowOf(0, 5, []);
    const larger = new Uint8Array(window.bytes.length + 10);
    larger.set(window.bytes, 5);
    const view = larger.subarray(5, -5);
    expect(await pool.check(array, { ...window, bytes: view }, going)).toMatchObject({ bytesDecoded: 80, bad: [] });
    expect([...larger.subarray(5, -5)]).toEqual([...window.bytes]);
    pool.close();
  });

  it("does without threads that are not there, or do not come up", async () => {
    for (const entry of [
      new URL("./nothing.js", pathToFileURL(`${folder}/`)),
      await script("bad.mjs", "throw new Error('no')"),
    ]) {
      const pool = new CheckPool(2, entry, 0);
      for (let i = 0; i < 5; i++) {
        expect(await pool.check(array, windowOf(0, 5, [2]), going)).toMatchObject({
          bytesDecoded: 64,
          bad: [{ at: 2 }],
        });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(pool.threaded).toBe(false);
      pool.close();
    }
  });

  it("starts none before it pays, and none for what needs no decoding", async () => {
    const pool = new CheckPool(2, ENTRY, 1000);
    await pool.check(array, windowOf(0, 5, []), going);
    expect(pool.started).toBe(false);
    for (let i = 0; i < 20; i++) await pool.check(array, windowOf(0, 5, []), going);
    expect(pool.started).toBe(true);
    pool.close();
    const { objects } = await craftStore({ ...ARRAY, codec: { name: "none" } });
    const plain = (await openArrayCheck("", parseArrayMetadata(objects.get("zarr.json")!))) as ArrayCheck;
    const idle = new CheckPool(2, ENTRY, 0);
    const bytes = objects.get("c/0/0")!.slice(0, 16);
    const one = { bytes, chunks: Uint32Array.of(0), starts: Uint32Array.of(0), lengths: Uint32Array.of(16) };
    expect(await idle.check(plain, one, going)).toMatchObject({ bytesDecoded: 16, bad: [] });
    expect(idle.started).toBe(false);
  });

  it("says so when a thread ends on its own", async () => {
    const entry = await script(
      "dies.mjs",
      `import { parentPort } from "node:worker_threads";
       parentPort.on("message", () => process.exit(3));
       parentPort.postMessage("ready");`,
    );
    const pool = await new Promise<CheckPool>((resolve) => {
      const made = new CheckPool(1, entry, 0);
      void made.check(array, windowOf(0, 2, []), going).then(async () => {
        while (!made.threaded) await new Promise((again) => setTimeout(again, 5));
        resolve(made);
      });
    });
    const failing = [0, 1, 2].map(() => pool.check(array, windowOf(0, 5, []), going));
    for (const result of await Promise.allSettled(failing)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "THREAD_FAILED" } });
    }
    await expect(pool.check(array, windowOf(0, 5, []), going)).rejects.toMatchObject({ code: "THREAD_FAILED" });
    pool.close();
  });
});
