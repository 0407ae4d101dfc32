import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import type { CodecSpec } from "../../../src/codec/codec.js";
import { crc32c } from "../../../src/codec/crc32c.js";
import { MemoryStore } from "../../../src/store/memory_store.js";
import { verifyStore } from "../../../src/store/verify.js";
import { FINDINGS_MAX } from "../../../src/store/verify_report.js";
import { type CraftedArray, craftStore } from "../../helpers/craft_store.js";

const ARRAY: CraftedArray = {
  dtype: "uint16",
  shape: [9, 10, 11],
  chunk: [2, 4, 3],
  shard: [4, 8, 6],
  codec: { name: "zstd", level: 1 },
};
/** 5 × 3 × 4 chunks of 48 bytes in 3 × 2 × 2 shards of 8. */
const CHUNKS = 60;
const SHARDS = 12;
const INDEX = 8 * 16 + 4;

const text = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const GROUP = text({ zarr_format: 3, node_type: "group", attributes: {} });

function flip(bytes: Uint8Array, at: number): void {
  bytes[at] ^= 1;
}

/** Changes one word of a shard's index and makes its checksum good again. */
function editIndex(shard: Uint8Array, word: number, value: bigint): void {
  const view = new DataView(shard.buffer, shard.byteOffset, shard.length);
  const start = shard.length - INDEX;
  view.setBigUint64(start + 8 * word, value, true);
  view.setUint32(shard.length - 4, crc32c(shard.subarray(start, shard.length - 4)), true);
}

describe("verifyStore", () => {
  it("passes a good array and counts it", async () => {
    const { objects } = await craftStore(ARRAY);
    const progress: number[] = [];
    const report = await verifyStore(objects, { onProgress: ({ chunksChecked }) => progress.push(chunksChecked) });
    const stored = [...objects].reduce((n, [key, bytes]) => n + (key === "zarr.json" ? 0 : bytes.length), 0);
    expect(report).toEqual({
      ok: true,
      location: "memory",
      arrays: [
        {
          path: "",
          shape: [9, 10, 11],
          dtype: "uint16",
          codecs: "zstd, bytes",
          objectsChecked: SHARDS,
          objectsMissing: 0,
          chunksChecked: CHUNKS,
          chunksMissing: 0,
          bytesStored: stored,
          bytesDecoded: CHUNKS * 48,
        },
      ],
      groups: [],
      defects: [],
      warnings: [],
      notes: [],
      unlisted: { defects: 0, warnings: 0, notes: 0 },
    });
    expect(progress.length).toBe(SHARDS);
    expect(progress.at(-1)).toBe(CHUNKS);
  });

  it("counts absent chunks and absent shards alike, and finds nothing wrong with them", async () => {
    const { objects, keys } = await craftStore({ ...ARRAY, absent: ([t, y]) => t === 1 || y === 2 });
    objects.delete(keys[0]);
    const report = await verifyStore(objects);
    expect(report.ok).toBe(true);
    const [{ chunksChecked, chunksMissing, objectsChecked }] = report.arrays;
    expect(chunksChecked).toBeLessThan(4 * 2 * 4);
    expect(chunksChecked + chunksMissing).toBe(CHUNKS);
    expect(objectsChecked).toBeLessThan(6);
  });

  it("walks groups, and reports missing ones and nodes below arrays", async () => {
    const objects = new Map([["zarr.json", GROUP]]);
    await craftStore({ ...ARRAY, path: "0" }, objects);
    await craftStore({ ...ARRAY, path: "labels/cells/0", codec: { name: "none" } }, objects);
    objects.set("labels/zarr.json", GROUP);
    const report = await verifyStore(objects);
    expect(report.arrays.map(({ path, codecs }) => [path, codecs])).toEqual([
      ["0", "zstd, bytes"],
      ["labels/cells/0", "bytes"],
    ]);
    expect(report.groups).toEqual(["", "labels"]);
    expect(report.defects).toEqual([
      {
        code: "METADATA_MISSING",
        severity: "defect",
        key: "labels/cells/zarr.json",
        message: expect.stringContaining("labels/cells/0"),
      },
    ]);
    objects.set("0/more/zarr.json", GROUP);
    expect((await verifyStore(objects)).defects).toContainEqual({
      code: "NODE_BELOW_ARRAY",
      severity: "defect",
      key: "0/more/zarr.json",
      message: 'lies below the array "0"',
    });
    const { objects: root } = await craftStore(ARRAY);
    root.set("sub/zarr.json", GROUP);
    expect((await verifyStore(root)).defects).toMatchObject([{ code: "NODE_BELOW_ARRAY", key: "sub/zarr.json" }]);
  });

  it("lists what writers leave behind and what nobody owns", async () => {
    const { objects } = await craftStore(ARRAY);
    for (const key of ["c/9/0/0.partial", "zarr.json.tmp", ".millrace/journal", "README", "c/0/0", "c/0/0/00"]) {
      objects.set(key, Uint8Array.of(1, 2, 3));
    }
    const report = await verifyStore(objects);
    expect(report.ok).toBe(true);
    expect(report.warnings.map(({ code, key }) => `${code} ${key}`).sort()).toEqual([
      "PARTIAL_SHARD c/9/0/0.partial",
      "STRAY_KEY README",
      "STRAY_KEY c/0/0",
      "STRAY_KEY c/0/0/00",
      "TEMPORARY_FILE zarr.json.tmp",
      "WRITER .millrace/journal",
    ]);
  });

  it("checks shards beyond the shape too, and warns of them", async () => {
    const { objects } = await craftStore(ARRAY);
    const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
    document.shape[0] = 4;
    objects.set("zarr.json", text(document));
    const report = await verifyStore(objects);
    expect(report.ok).toBe(true);
    expect(report.arrays[0]).toMatchObject({ chunksChecked: CHUNKS, chunksMissing: 0 });
    expect(report.warnings.length).toBe(8);
    expect(report.warnings[0]).toEqual({
      code: "OUTSIDE_SHAPE",
      severity: "warning",
      key: "c/1/0/0",
      coordinates: [1, 0, 0],
      message: "lies from 4 along dimension 0, which has size 4 in zarr.json",
    });
    // While a writer has the store open these are rows that it has not published.
    objects.set(".millrace/writer.json", text({ format: 1, writeId: "x", started: "2026-01-01T00:00:00Z" }));
    const open = await verifyStore(objects);
    expect(open.notes.map(({ code }) => code)).toEqual(Array(8).fill("UNPUBLISHED"));
    expect(open.warnings).toMatchObject([
      { code: "WRITER", key: ".millrace/writer.json", message: expect.stringMatching(/millrace recover memory/) },
    ]);
    objects.delete(".millrace/writer.json");
    objects.get("c/2/1/1")![0] ^= 1;
    expect((await verifyStore(objects)).defects).toMatchObject([{ code: "CHUNK_DECODE", key: "c/2/1/1", chunk: 0 }]);
  });

  it.each([
    ["a flipped byte in a chunk", (s: Uint8Array) => flip(s, 0), "CHUNK_DECODE", 0],
    ["a flipped byte in the index", (s: Uint8Array) => flip(s, s.length - 20), "INDEX_CHECKSUM", undefined],
    ["a flipped byte in its checksum", (s: Uint8Array) => flip(s, s.length - 1), "INDEX_CHECKSUM", undefined],
    ["an entry behind the data", (s: Uint8Array) => editIndex(s, 6, 10n ** 6n), "INDEX_ENTRY", 3],
    ["an entry beyond 2^63", (s: Uint8Array) => editIndex(s, 6, 2n ** 64n - 2n), "INDEX_ENTRY", 3],
    ["an entry that is half absent", (s: Uint8Array) => editIndex(s, 7, 2n ** 64n - 1n), "INDEX_ENTRY", 3],
    ["an empty chunk", (s: Uint8Array) => editIndex(s, 7, 0n), "CHUNK_LENGTH", 3],
    ["two chunks on the same bytes", (s: Uint8Array) => editIndex(s, 2, 0n), "INDEX_OVERLAP", 1],
  ])("finds %s", async (_, damage, code, chunk) => {
    const { objects, keys } = await craftStore(ARRAY);
    damage(objects.get(keys[1])!);
    const report = await verifyStore(objects);
    expect(report.ok).toBe(false);
    expect(report.defects.map((defect) => [defect.code, defect.key, defect.chunk])).toContainEqual([
      code,
      keys[1],
      chunk,
    ]);
    // Damage in one shard leaves the others alone.
    expect(new Set(report.defects.map(({ key }) => key))).toEqual(new Set([keys[1]]));
    expect(report.arrays[0].objectsChecked).toBe(SHARDS);
  });

  it("finds truncation at any length", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const shard = objects.get(keys[2])!;
    for (let length = 0; length < shard.length; length += 7) {
      objects.set(keys[2], shard.slice(0, length));
      const { defects } = await verifyStore(objects);
      expect(defects).toMatchObject([{ key: keys[2], code: length < INDEX ? "SHARD_LENGTH" : "INDEX_CHECKSUM" }]);
    }
  });

  it("finds a chunk of the wrong length with codec none, and notes gaps", async () => {
    const { objects, keys } = await craftStore({ ...ARRAY, codec: { name: "none" } });
    const shard = objects.get(keys[0])!;
    editIndex(shard, 1, 47n);
    expect((await verifyStore(objects)).defects).toMatchObject([{ code: "CHUNK_LENGTH", key: keys[0], chunk: 0 }]);
    editIndex(shard, 1, 48n);
    const padded = new Uint8Array(shard.length + 100);
    padded.set(shard.subarray(0, -INDEX));
    padded.set(shard.subarray(-INDEX), shard.length + 100 - INDEX);
    objects.set(keys[0], padded);
    const report = await verifyStore(objects);
    expect(report.ok).toBe(true);
    expect(report.notes).toMatchObject([{ code: "GAP", key: keys[0] }]);
  });

  it("finds flipped bits in chunks that carry a checksum, all of them", async () => {
    const { objects, keys } = await craftStore({ dtype: "uint8", shape: [8], chunk: [8], shard: [8] });
    const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
    document.codecs[0].configuration.codecs.push({ name: "crc32c" });
    objects.set("zarr.json", text(document));
    const data = objects.get(keys[0])!.slice(0, 8);
    const crc = new Uint8Array(4);
    new DataView(crc.buffer).setUint32(0, crc32c(data), true);
    const index = objects.get(keys[0])!.slice(8);
    const shard = new Uint8Array(Buffer.concat([data, crc, index]));
    const view = new DataView(shard.buffer);
    view.setBigUint64(20, 12n, true);
    view.setUint32(28, crc32c(shard.subarray(12, 28)), true);
    objects.set(keys[0], shard);
    expect((await verifyStore(objects)).defects).toEqual([]);
    for (let bit = 0; bit < 8 * shard.length; bit++) {
      const damaged = shard.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      objects.set(keys[0], damaged);
      expect((await verifyStore(objects)).ok).toBe(false);
    }
  });

  it("reports an unreadable zarr.json, and does not call its shards strays", async () => {
    const { objects } = await craftStore(ARRAY);
    for (const bad of ["", "{", "null", '{"zarr_format":2}', '{"zarr_format":3,"node_type":"array"}']) {
      objects.set("zarr.json", text(bad));
      const report = await verifyStore(objects);
      expect(report.defects).toMatchObject([{ code: expect.stringMatching(/^METADATA/), key: "zarr.json" }]);
      expect(report.warnings).toEqual([]);
    }
    objects.delete("zarr.json");
    await expect(verifyStore(objects)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  });

  it("refuses sizes beyond the limits before it takes memory for them", async () => {
    const { objects } = await craftStore(ARRAY);
    const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
    for (const [outer, inner] of [
      [
        [2 ** 30, 2 ** 30, 2 ** 30],
        [2 ** 30, 2 ** 30, 2 ** 30],
      ],
      [
        [2 ** 20, 2 ** 20, 6],
        [2, 4, 3],
      ],
    ]) {
      document.chunk_grid.configuration.chunk_shape = outer;
      document.codecs[0].configuration.chunk_shape = inner;
      objects.set("zarr.json", text(document));
      expect((await verifyStore(objects)).defects).toMatchObject([
        { code: "METADATA_UNSUPPORTED", message: expect.stringMatching(/limit/) },
      ]);
    }
    document.chunk_grid.configuration.chunk_shape = [4, 8, 6];
    document.codecs[0].configuration.chunk_shape = [2, 4, 3];
    document.shape = [2 ** 52, 2 ** 52, 2 ** 52];
    objects.set("zarr.json", text(document));
    const report = await verifyStore(objects);
    expect(report.arrays[0].chunksMissing).toBeGreaterThan(1e40);
  });

  it("bounds the list of findings and counts the rest", async () => {
    const { objects, keys } = await craftStore({
      dtype: "uint8",
      shape: [1200],
      chunk: [1],
      shard: [1200],
      codec: { name: "zstd", level: 1 },
    });
    objects.get(keys[0])!.fill(0, 0, -(1200 * 16 + 4));
    const report = await verifyStore(objects);
    expect(report.defects.length).toBe(FINDINGS_MAX);
    expect(report.unlisted.defects).toBe(1200 - FINDINGS_MAX);
  });

  it("turns read errors into defects and goes on", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const memory = new MemoryStore(objects);
    const getRange = memory.getRange.bind(memory);
    memory.getRange = async (key, offset, length) => {
      if (key === keys[3]) throw new MillraceError("STORE_READ_FAILED", "EIO", { context: { key } });
      return await getRange(key, offset, length);
    };
    const report = await verifyStore(memory);
    expect(report.defects).toEqual([{ code: "READ", severity: "defect", key: keys[3], message: "EIO" }]);
    expect(report.arrays[0].objectsChecked).toBe(SHARDS);
  });

  it("stops at a signal, which gives the cause", async () => {
    const { objects } = await craftStore(ARRAY);
    const controller = new AbortController();
    const reason = new Error("enough");
    const verified = verifyStore(objects, { signal: controller.signal, onProgress: () => controller.abort(reason) });
    await expect(verified).rejects.toMatchObject({ code: "CALL_ABORTED", cause: reason });
  });
});

describe("fuzz", () => {
  const codecs: CodecSpec[] = [{ name: "none" }, { name: "blosc" }, { name: "zstd", level: 1 }];

  it("flipped bytes and cuts anywhere in the objects never crash or hang it", async () => {
    const crafted = await Promise.all(codecs.map((codec) => craftStore({ ...ARRAY, codec })));
    let found = 0;
    const edit = fc.record({
      object: fc.nat(),
      at: fc.nat(),
      flip: fc.integer({ min: 1, max: 255 }),
      cut: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(1), fc.array(edit, { minLength: 1, maxLength: 4 }), async (which, edits) => {
        const objects = new Map([...crafted[which].objects].map(([key, bytes]) => [key, bytes.slice()]));
        for (const { object, at, flip, cut } of edits) {
          const key = [...objects.keys()][object % objects.size];
          const bytes = objects.get(key)!;
          if (cut) objects.set(key, bytes.slice(0, at % (bytes.length + 1)));
          else if (bytes.length > 0) bytes[at % bytes.length] ^= flip;
        }
        const report = await verifyStore(objects);
        if (!report.ok) found++;
      }),
      { numRuns: 300 },
    );
    expect(found).toBeGreaterThan(150);
  });

  it("any JSON for zarr.json gives a report", async () => {
    const { objects } = await craftStore(ARRAY);
    const document = JSON.parse(new TextDecoder().decode(objects.get("zarr.json")!));
    const sharding = document.codecs[0].configuration;
    const odd = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom<unknown>(-1, 0, 1.5, 2 ** 53, 1e308, "zstd", [], [0], [1, 2], {}, null, [2 ** 40, 1, 1], "bytes"),
    );
    const members = [
      "shape",
      "data_type",
      "chunk_grid",
      "chunk_key_encoding",
      "fill_value",
      "codecs",
      "dimension_names",
      "node_type",
      "attributes",
    ];
    const inner = ["chunk_shape", "codecs", "index_codecs", "index_location"];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...members),
        fc.constantFrom(...inner, ""),
        odd,
        async (member, below, value) => {
          const changed =
            below === ""
              ? { ...document, [member]: value }
              : { ...document, codecs: [{ name: "sharding_indexed", configuration: { ...sharding, [below]: value } }] };
          const damaged = new Map(objects).set("zarr.json", text(changed));
          const report = await verifyStore(damaged);
          expect(report.ok).toBe(report.defects.length === 0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("an index of garbage with a good checksum never leads outside the shard", async () => {
    const { objects, keys } = await craftStore({ ...ARRAY, codec: { name: "none" } });
    const good = objects.get(keys[0])!;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(15), fc.oneof(fc.bigInt(0n, 400n), fc.bigInt(0n, 2n ** 64n - 1n))), {
          minLength: 1,
          maxLength: 16,
        }),
        async (edits) => {
          const shard = good.slice();
          for (const [word, value] of edits) editIndex(shard, word, value);
          objects.set(keys[0], shard);
          const report = await verifyStore(objects);
          expect(report.defects.every(({ key }) => key === keys[0])).toBe(true);
          expect(report.defects.every(({ code }) => code !== "READ")).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
