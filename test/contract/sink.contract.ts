import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import type { ShardHandle, Sink } from "../../src/handoff/sink.js";
import { decodeMarker } from "../../src/journal/writer_marker.js";
import { failureOf } from "../helpers/outcome.js";

/** One place that sinks of a kind write to, and that readers look into. */
export interface SinkHarness {
  /** A new sink on the same place, as the next writer would make it. */
  make(): Promise<Sink>;
  /** What a reader finds under a key. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** Every key that a reader finds, sorted. */
  keys(): Promise<string[]>;
  /** Keys of unfinished shards kept for recovery, sorted; undefined when this kind keeps none. */
  keptKeys?(): Promise<string[]>;
  /**
   * Names of journals, the marker's as "writer.json", sorted, with what is in them; undefined when this kind has none.
   */
  journals?(): Promise<Map<string, Uint8Array>>;
  /** More shards than the sink holds open at once. */
  readonly manyShards: number;
  /** Ends the place; the suite calls it after each test. */
  remove(): Promise<void>;
}

/** Bytes that say where they belong: no two places of a shard and no two shards look alike. */
export function coordinateBytes(seed: number, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
  return new Uint8Array(words.buffer, 0, length);
}

/** The same bytes over shared memory, in pieces that end at `cuts`; pieces may be empty. */
export function sharedPieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const memory = new Uint8Array(new SharedArrayBuffer(Math.max(1, bytes.byteLength)), 0, bytes.byteLength);
  memory.set(bytes);
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.byteLength)), bytes.byteLength].sort((a, b) => a - b);
  return ends.map((end, i) => memory.subarray(i === 0 ? 0 : ends[i - 1], end));
}

const MAX_BYTES = 1 << 20;
const INDEX = coordinateBytes(999, 52);

/** What every sink owes its caller, whatever it writes to. Run it once for each kind. */
export function sinkContract(name: string, makeHarness: () => Promise<SinkHarness>): void {
  describe(`sink contract: ${name}`, () => {
    let harness: SinkHarness;
    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(() => harness.remove());

    async function opened(mode: "create" | "overwrite" = "create"): Promise<Sink> {
      const sink = await harness.make();
      await sink.open(mode);
      return sink;
    }
    async function putStore(...keys: string[]): Promise<void> {
      const sink = await opened();
      for (const key of keys) await sink.putObject(key, coordinateBytes(key.length, 100), false);
      await sink.close();
    }

    it("says what and where it is", async () => {
      const sink = await opened();
      expect(sink.kind).not.toBe("");
      expect(sink.location).not.toBe("");
      await sink.close();
    });

    it("create makes an empty store; a second create refuses it and leaves it alone", async () => {
      await putStore("zarr.json", "c/0/0");
      const before = await harness.read("c/0/0");
      const second = await harness.make();
      const error = await failureOf(second.open("create"));
      expect(isMillraceError(error, "STORE_EXISTS")).toBe(true);
      await second.close();
      expect(await harness.keys()).toEqual(["c/0/0", "zarr.json"]);
      expect(await harness.read("c/0/0")).toEqual(before);
    });

    it("overwrite removes every old object, and works where nothing was", async () => {
      await putStore("zarr.json", "c/0/0", "c/1/0", "deep/zarr.json", "deep/er/c/0");
      const sink = await opened("overwrite");
      expect(await harness.keys()).toEqual([]);
      await sink.putObject("zarr.json", coordinateBytes(1, 10), false);
      await sink.close();
      expect(await harness.keys()).toEqual(["zarr.json"]);
    });

    it("overwrite works on a place that does not exist yet", async () => {
      await (await opened("overwrite")).close();
      expect(await harness.keys()).toEqual([]);
    });

    it.each([false, true])("a shard appears whole, and only when it is sealed (durable: %s)", async (durable) => {
      const sink = await opened();
      const shard = await sink.openShard("c/0/1/2", { maxBytes: MAX_BYTES, durable });
      const data = coordinateBytes(3, 100_000);
      expect(await harness.read("c/0/1/2")).toBeUndefined();
      await shard.write([data.subarray(0, 40_000)]);
      await shard.write([data.subarray(40_000)]);
      expect(await harness.read("c/0/1/2")).toBeUndefined();
      await shard.seal(INDEX, durable);
      expect(await harness.read("c/0/1/2")).toEqual(new Uint8Array([...data, ...INDEX]));
      await sink.close();
      expect(await harness.keys()).toEqual(["c/0/1/2"]);
    });

    it("a shard without data is its tail", async () => {
      const sink = await opened();
      const shard = await sink.openShard("c/0", { maxBytes: MAX_BYTES });
      await shard.write([]);
      await shard.write([new Uint8Array(0)]);
      await shard.seal(INDEX, false);
      await sink.close();
      expect(await harness.read("c/0")).toEqual(INDEX);
    });

    it("bytes are exact however they are cut into writes and segments of shared memory", async () => {
      const sink = await opened();
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 0, max: 70_000 }),
          fc.array(fc.array(fc.nat(70_000), { maxLength: 12 }), { maxLength: 4 }),
          async (length, writes) => {
            const key = `c/${run++}`;
            const shard = await sink.openShard(key, { maxBytes: MAX_BYTES });
            const data = coordinateBytes(run, length);
            let from = 0;
            for (const [i, cuts] of writes.entries()) {
              const to = i === writes.length - 1 ? length : Math.min(length, from + (cuts[0] ?? 1));
              await shard.write(sharedPieces(data.subarray(from, to), cuts));
              from = to;
            }
            await shard.write([data.subarray(from)]);
            await shard.seal(INDEX, false);
            const read = (await harness.read(key))!;
            expect(Buffer.compare(read.subarray(0, length), data)).toBe(0);
            expect(read.subarray(length)).toEqual(INDEX);
          },
        ),
        { numRuns: 40 },
      );
      await sink.close();
    });

    it("takes thousands of segments in one write", async () => {
      const sink = await opened();
      const data = coordinateBytes(5, 5003 * 3);
      const shard = await sink.openShard("c/0", { maxBytes: MAX_BYTES });
      await shard.write(
        sharedPieces(
          data,
          Array.from({ length: 5002 }, (_, i) => (i + 1) * 3),
        ),
      );
      await shard.seal(INDEX, false);
      await sink.close();
      expect((await harness.read("c/0"))!.subarray(0, data.length)).toEqual(data);
    });

    it("memory may be reused once a write has settled", async () => {
      const sink = await opened();
      const slot = new Uint8Array(new SharedArrayBuffer(8192));
      const shard = await sink.openShard("c/0", { maxBytes: MAX_BYTES });
      const expected: number[] = [];
      for (let round = 0; round < 10; round++) {
        slot.set(coordinateBytes(round, 8192));
        expected.push(...slot);
        await shard.write([slot]);
        slot.fill(0xee);
      }
      const tail = Uint8Array.from(INDEX);
      await shard.seal(tail, false);
      tail.fill(0);
      const object = coordinateBytes(77, 500);
      await sink.putObject("zarr.json", object, false);
      object.fill(0);
      await sink.close();
      expect(await harness.read("c/0")).toEqual(new Uint8Array([...expected, ...INDEX]));
      expect(await harness.read("zarr.json")).toEqual(coordinateBytes(77, 500));
    });

    it("holds more shards open at once than it keeps handles for, written turn by turn and side by side", async () => {
      const sink = await opened();
      const count = harness.manyShards;
      const keys = Array.from({ length: count }, (_, i) => `c/${i % 7}/${i}`);
      const shards: ShardHandle[] = await Promise.all(keys.map((key) => sink.openShard(key, { maxBytes: MAX_BYTES })));
      for (let round = 0; round < 3; round++) {
        const write = (i: number) => shards[i].write([coordinateBytes(i * 3 + round, 1000 + i)]);
        if (round === 1) for (let i = 0; i < count; i++) await write(i);
        else await Promise.all(shards.map((_, i) => write(i)));
      }
      await Promise.all(shards.map((shard) => shard.seal(INDEX, true)));
      await sink.close();
      expect(await harness.keys()).toEqual([...keys].sort());
      for (let i = 0; i < count; i++) {
        const parts = [0, 1, 2].map((round) => coordinateBytes(i * 3 + round, 1000 + i));
        const expected = Buffer.concat([...parts, INDEX]);
        expect(Buffer.compare((await harness.read(keys[i]))!, expected), keys[i]).toBe(0);
      }
    });

    it("putObject replaces whole objects: a reader sees old or new bytes, never a mixture", async () => {
      const sink = await opened();
      const versions = Array.from({ length: 12 }, (_, i) => new Uint8Array(200_000 - i * 9_000).fill(i + 1));
      await sink.putObject("zarr.json", versions[0], true);
      let writing = true;
      const reader = (async () => {
        for (let looks = 0; ; looks++) {
          const seen = (await harness.read("zarr.json"))!;
          expect(seen.length).toBe(versions[seen[0] - 1].length);
          expect(seen.every((byte) => byte === seen[0])).toBe(true);
          if (!writing) return looks;
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      for (const version of versions) await sink.putObject("zarr.json", version, false);
      writing = false;
      expect(await reader).toBeGreaterThan(0);
      expect(await harness.read("zarr.json")).toEqual(versions[11]);
      await sink.close();
    });

    it("puts of one key that overlap end with the last one", async () => {
      const sink = await opened();
      await Promise.all([1, 2, 3, 4].map((i) => sink.putObject("zarr.json", coordinateBytes(i, 50_000 / i), false)));
      expect(await harness.read("zarr.json")).toEqual(coordinateBytes(4, 12_500));
      await sink.close();
      expect(await harness.keys()).toEqual(["zarr.json"]);
    });

    it.each([true, false])("an abandoned shard never appears (keep: %s)", async (keep) => {
      const sink = await opened();
      const shard = await sink.openShard("c/0", { maxBytes: MAX_BYTES });
      await shard.write([coordinateBytes(1, 5000)]);
      await shard.abandon(keep);
      await shard.abandon(keep);
      await sink.close();
      expect(await harness.keys()).toEqual([]);
      if (harness.keptKeys !== undefined) expect(await harness.keptKeys()).toEqual(keep ? ["c/0"] : []);
    });

    it("refuses keys that leave the store", async () => {
      const sink = await opened();
      for (const key of ["", "/etc/x", "../x", "c/../../x", "c//0", "./c", "c/0/", "a\\b", "c\0", "x.partial"]) {
        const shard = await failureOf(sink.openShard(key, { maxBytes: 1 }));
        expect(isMillraceError(shard, "INVALID_OPTION"), key).toBe(true);
        const object = await failureOf(sink.putObject(key, INDEX, false));
        expect(isMillraceError(object, "INVALID_OPTION"), key).toBe(true);
      }
      await sink.close();
      expect(await harness.keys()).toEqual([]);
    });

    it("a shard is opened once at a time, and again after it has ended", async () => {
      const sink = await opened();
      const first = await sink.openShard("c/0", { maxBytes: 100 });
      expect(isMillraceError(await failureOf(sink.openShard("c/0", { maxBytes: 100 })), "INTERNAL")).toBe(true);
      await first.abandon(false);
      const again = await sink.openShard("c/0", { maxBytes: 100 });
      await again.seal(INDEX, false);
      await sink.close();
      expect(await harness.read("c/0")).toEqual(INDEX);
    });

    it("a shard that is being opened cannot be opened again", async () => {
      const sink = await opened();
      const opening = [1, 2].map(() => sink.openShard("c/0/0", { maxBytes: 100 }));
      const [first, second] = await Promise.allSettled(opening);
      expect([first.status, second.status]).toEqual(["fulfilled", "rejected"]);
      expect(isMillraceError(second.status === "rejected" && second.reason, "INTERNAL")).toBe(true);
      await (await opening[0]).seal(INDEX, false);
      await sink.close();
      expect(await harness.keys()).toEqual(["c/0/0"]);
    });

    it("has a journal, and shards that can be synced, or neither", async () => {
      const sink = await opened();
      expect(sink.journal !== undefined).toBe(harness.journals !== undefined);
      const { journal } = sink;
      if (journal !== undefined && harness.journals !== undefined) {
        await journal.begin("the write id", true);
        expect([...(await harness.journals()).keys()]).toEqual(["writer.json"]);
        const shard = await sink.openShard("c/0/0", { maxBytes: MAX_BYTES, synced: true });
        const file = await journal.open("journal.0");
        const expected: Uint8Array[] = [];
        for (let round = 0; round < 4; round++) {
          const frame = coordinateBytes(round, 100 * round);
          await shard.write([coordinateBytes(10 + round, 5000)]);
          await Promise.all([shard.sync!(), file.append(frame, round % 2 === 0)]);
          expected.push(frame.slice());
          frame.fill(0xee);
        }
        expect((await harness.journals()).get("journal.0")).toEqual(new Uint8Array(Buffer.concat(expected)));
        // Held and written side by side: one row is sealed while the next one is written.
        const next = await journal.open("journal.1");
        await Promise.all([next.append(INDEX, true), file.append(INDEX, false)]);
        await shard.seal(INDEX, true);
        await file.close();
        await file.close();
        await journal.remove("journal.0");
        expect([...(await harness.journals()).keys()]).toEqual(["journal.1", "writer.json"]);
        expect(await harness.read("c/0/0")).toHaveLength(4 * 5000 + INDEX.length);
        await journal.clear(true);
        expect(await harness.journals()).toEqual(new Map());
      }
      await sink.close();
      expect((await harness.journals?.()) ?? new Map()).toEqual(new Map());
    });

    it("leaves its marker and journals where the writer does not clear them, and says that it has ended", async () => {
      const sink = await opened();
      const { journal } = sink;
      if (journal !== undefined && harness.journals !== undefined) {
        await journal.begin("the write id", false);
        await (await journal.open("journal.0")).append(INDEX, false);
        expect(decodeMarker((await harness.journals()).get("writer.json")!)).toMatchObject({
          writeId: "the write id",
          writer: { pid: process.pid, ended: false },
        });
        await expect((await harness.make()).journal!.begin("another", false)).rejects.toMatchObject({
          code: "STORE_IN_USE",
        });
        await sink.close();
        await sink.close();
        const left = await harness.journals();
        expect(left.get("journal.0")).toEqual(INDEX);
        expect(decodeMarker(left.get("writer.json")!)).toMatchObject({
          writeId: "the write id",
          writer: { pid: process.pid, ended: true },
        });
      } else await sink.close();
    });

    it("reads what lies in the store, as whole objects or parts of them", async () => {
      const sink = await opened();
      const { stored } = sink;
      expect(stored).toBeDefined();
      const data = coordinateBytes(7, 3000);
      await sink.putObject("zarr.json", data, false);
      const shard = await sink.openShard("c/0/1", { maxBytes: MAX_BYTES });
      await shard.write([data]);
      expect(await stored!.size("c/0/1")).toBeUndefined();
      expect(await stored!.getRange("c/0/1", 0, 10)).toBeUndefined();
      await shard.seal(INDEX, false);
      expect(await stored!.size("c/0/1")).toBe(3000 + INDEX.length);
      expect(await stored!.size("zarr.json")).toBe(3000);
      for (const [from, length] of [
        [0, 3000],
        [1, 2998],
        [2990, 500],
      ]) {
        expect(await stored!.getRange("zarr.json", from, length)).toEqual(data.slice(from, from + length));
      }
      expect(await stored!.getRange("c/0/1", 3000, INDEX.length)).toEqual(INDEX);
      await sink.close();
    });

    it("resume opens a closed store, changes nothing by that, and replaces shards when they are sealed", async () => {
      await putStore("zarr.json", "c/0/0", "c/1/0");
      const keys = await harness.keys();
      const old = await harness.read("c/1/0");
      const sink = await harness.make();
      await sink.open("resume");
      expect((await harness.keys()).filter((key) => !key.startsWith(".millrace/"))).toEqual(keys);
      const shard = await sink.openShard("c/1/0", { maxBytes: MAX_BYTES, replaces: true });
      const data = coordinateBytes(9, 70_000);
      await shard.write([data.subarray(0, 30_000)]);
      expect(await harness.read("c/1/0")).toEqual(old);
      expect(await sink.stored!.size("c/1/0")).toBe(old!.length);
      await shard.write([data.subarray(30_000)]);
      await shard.seal(INDEX, true);
      expect(await harness.read("c/1/0")).toEqual(new Uint8Array([...data, ...INDEX]));
      await sink.close();
      expect(await harness.keys()).toEqual(keys);
      expect(await harness.read("c/0/0")).toEqual(coordinateBytes(5, 100));
    });

    it("resume refuses a place without a store", async () => {
      const sink = await harness.make();
      expect(isMillraceError(await failureOf(sink.open("resume")), "STORE_NOT_FOUND")).toBe(true);
      await sink.close();
      expect(await harness.keys()).toEqual([]);
    });

    it("close is idempotent, and reports shards that were forgotten", async () => {
      const tidy = await opened();
      await tidy.close();
      await tidy.close();
      const untidy = await opened();
      await untidy.openShard("c/0", { maxBytes: 100 });
      expect(isMillraceError(await failureOf(untidy.close()), "INTERNAL")).toBe(true);
      expect(await harness.keys()).toEqual([]);
    });
  });
}
