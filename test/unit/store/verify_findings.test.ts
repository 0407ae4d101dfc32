import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { crc32c } from "../../../src/codec/crc32c.js";
import { MemoryStore } from "../../../src/store/memory_store.js";
import { type VerifyOptions, verifyStore } from "../../../src/store/verify.js";
import type { AnyFinding } from "../../../src/store/verify_report.js";
import { ShardIndex } from "../../../src/zarr/shard_index.js";
import { type CraftedArray, craftStore } from "../../helpers/craft_store.js";
import { withCrc, zstdFrame } from "../../helpers/fuzz_corpus.js";

/** What each code stands for, and the place that it names. */

const ARRAY: CraftedArray = { dtype: "uint16", shape: [9, 10], chunk: [2, 4], shard: [4, 8] };
const INDEX = 4 * 16 + 4;

type Document = Record<string, unknown> & { codecs: { name: string; configuration: Record<string, unknown> }[] };

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const group = (attributes: object = {}, more: object = {}) =>
  text({ zarr_format: 3, node_type: "group", attributes, ...more });

function edit(objects: Map<string, Uint8Array>, change: (document: Document) => void, key = "zarr.json"): void {
  const document = JSON.parse(new TextDecoder().decode(objects.get(key)!)) as Document;
  change(document);
  objects.set(key, text(document));
}

async function findings(objects: Map<string, Uint8Array>, options?: VerifyOptions): Promise<AnyFinding[]> {
  const { defects, warnings, notes } = await verifyStore(objects, options);
  return [...defects, ...warnings, ...notes];
}

/** One shard of zeros, made without going through its elements. */
async function largeShard(chunkBytes: number, chunks: number): Promise<Map<string, Uint8Array>> {
  const { objects } = await craftStore({ dtype: "uint8", shape: [2], chunk: [1], shard: [2] });
  edit(objects, (document) => {
    document.shape = [chunkBytes * chunks];
    document.chunk_grid = { name: "regular", configuration: { chunk_shape: [chunkBytes * chunks] } };
    document.codecs[0].configuration.chunk_shape = [chunkBytes];
  });
  const index = new ShardIndex(chunks);
  for (let chunk = 0; chunk < chunks; chunk++) index.set(chunk, chunk * chunkBytes, chunkBytes);
  return objects.set("c/0", new Uint8Array(Buffer.concat([new Uint8Array(chunkBytes * chunks), index.encode()])));
}

/** The only finding. */
async function finding(objects: Map<string, Uint8Array>, options?: VerifyOptions): Promise<AnyFinding> {
  const all = await findings(objects, options);
  expect(all.map(({ code, message }) => `${code}: ${message}`)).toHaveLength(1);
  return all[0];
}

const matching = (pattern: RegExp) => expect.stringMatching(pattern);

describe("metadata", () => {
  it("tells what breaks the specification from what is not read here", async () => {
    for (const [change, code, message] of [
      [(d: Document) => delete d.fill_value, "METADATA", /fill_value/],
      [(d: Document) => (d.fill_value = 70_000), "METADATA", /fill_value 70000/],
      [(d: Document) => (d.dimension_names = ["a"]), "METADATA", /dimension_names/],
      [(d: Document) => (d.codecs[0].configuration.chunk_shape = [3, 4]), "METADATA", /multiple/],
      [(d: Document) => (d.codecs[0].configuration.chunk_shape = [2]), "METADATA", /chunk_shape/],
      [(d: Document) => (d.data_type = "complex64"), "METADATA_UNSUPPORTED", /complex64/],
      [
        (d: Document) => (d.codecs[0].configuration.codecs = [{ name: "transpose" }]),
        "METADATA_UNSUPPORTED",
        /transpose/,
      ],
      [(d: Document) => (d.must = 1), "METADATA_UNSUPPORTED", /must/],
      [(d: Document) => (d.shape = Array(65).fill(1)), "METADATA_UNSUPPORTED", /65 dimensions/],
      [(d: Document) => (d.codecs = Array(9).fill({ name: "bytes" })), "METADATA_UNSUPPORTED", /9 codecs/],
    ] as const) {
      const { objects } = await craftStore(ARRAY);
      edit(objects, change);
      expect(await finding(objects)).toMatchObject({
        code,
        severity: "defect",
        key: "zarr.json",
        message: matching(message),
      });
    }
  });

  it("finds settings of codecs that strict readers refuse, and those that contradict the array", async () => {
    for (const [codec, configuration, code] of [
      ["zstd", { level: "high" }, "METADATA"],
      ["zstd", { level: 3, checksum: 1 }, "METADATA"],
      ["blosc", { cname: "zst", clevel: 1, shuffle: "shuffle", typesize: 2, blocksize: 0 }, "METADATA"],
      ["blosc", { cname: "zstd", clevel: 1, shuffle: 1, typesize: 2, blocksize: 0 }, "METADATA"],
      ["blosc", { cname: "zstd", clevel: 1, shuffle: "bitshuffle", typesize: 4, blocksize: 0 }, "METADATA_ODD"],
    ] as const) {
      const objects = new Map((await craftStore(ARRAY)).objects);
      edit(objects, ({ codecs }) => {
        codecs[0].configuration.codecs = [
          { name: "bytes", configuration: { endian: "little" } },
          { name: codec, configuration },
        ];
      });
      // The chunks are of another codec.
      const found = (await findings(objects)).filter(({ key }) => key === "zarr.json");
      expect(found).toMatchObject([{ code, message: matching(new RegExp(codec)) }]);
    }
  });

  it("knows versions of the block encoder, and what Millrace says of dimensions", async () => {
    for (const [millrace, code] of [
      [{ encoderVersion: 1 }, undefined],
      [{ encoderVersion: 99 }, "ENCODER_VERSION"],
      [{ encoderVersion: "1" }, "ENCODER_VERSION"],
      [{ dimensions: [{ name: "t" }] }, "METADATA_ODD"],
    ] as const) {
      const { objects } = await craftStore(ARRAY);
      edit(objects, (document) => {
        document.attributes = { millrace };
      });
      expect((await findings(objects)).map((one) => one.code)).toEqual(code === undefined ? [] : [code]);
    }
  });

  it("refuses JSON that is small as text and huge in memory, and deep JSON, without parsing it", async () => {
    const { objects } = await craftStore(ARRAY);
    objects.set("zarr.json", new TextEncoder().encode(`{"a":[${"[],".repeat(4_200_000)}1]}`));
    expect(await finding(objects)).toMatchObject({
      code: "METADATA_UNSUPPORTED",
      message: matching(/4194304 JSON values/),
    });
    objects.set("zarr.json", new TextEncoder().encode(`{"a":${"[".repeat(300)}${"]".repeat(300)}}`));
    expect(await finding(objects)).toMatchObject({
      code: "METADATA_UNSUPPORTED",
      message: matching(/deeper than 256/),
    });
    edit((await craftStore(ARRAY, objects)).objects, (document) => {
      document.chunk_grid = Array(100_000).fill({ name: "x".repeat(10) });
    });
    expect((await finding(objects)).message.length).toBeLessThan(300);
    // A number that BigInt would be busy with for an hour.
    const { objects: whole } = await craftStore(ARRAY);
    const before = new TextDecoder().decode(whole.get("zarr.json")!);
    whole.set(
      "zarr.json",
      new TextEncoder().encode(before.replace('"fill_value": 0', `"fill_value": 1${"0".repeat(3e6)}`)),
    );
    expect(await finding(whole)).toMatchObject({ code: "METADATA", message: matching(/fill_value 1000/) });
  });
});

describe("nodes that others name", () => {
  const axes = [{ name: "d0" }, { name: "d1" }];
  const image = (...paths: string[]) => ({
    ome: { multiscales: [{ axes, datasets: paths.map((path) => ({ path })) }] },
  });

  it.each([
    ["levels that are there", image("0"), {}, undefined],
    [
      "a level that is not there",
      image("0", "1"),
      {},
      /multiscales\[0\].datasets\[1\] names "1", but there is no zarr.json/,
    ],
    ["a level above the image", image("../0"), {}, /no path below/],
    [
      "axes of another number",
      { ome: { multiscales: [{ axes: [1], datasets: [{ path: "0" }] }] } },
      {},
      /1 axes, .* 2 dimensions/,
    ],
    ["metadata of before 0.5", { multiscales: [{ datasets: [{ path: "x" }] }] }, {}, /"x"/],
    ["wells", { ome: { plate: { wells: [{ path: "A/1" }] } } }, {}, /plate.wells\[0\] names "A\/1"/],
    [
      "an image of a well that is an array",
      { ome: { well: { images: [{ path: "0" }] } } },
      {},
      /"0" as a group, but it is an array/,
    ],
    ["labels", { ome: { labels: ["cells"] } }, {}, /labels\[0\] names "cells"/],
    [
      "consolidated metadata",
      {},
      {
        consolidated_metadata: {
          kind: "inline",
          must_understand: false,
          metadata: { "0": { node_type: "array" }, gone: {} },
        },
      },
      /consolidated_metadata names "gone"/,
    ],
  ])("%s", async (_, attributes, more, message) => {
    const objects = new Map([["zarr.json", group(attributes, more)]]);
    await craftStore({ ...ARRAY, path: "0" }, objects);
    const found = await findings(objects);
    if (message === undefined) expect(found).toEqual([]);
    else
      expect(found).toMatchObject([
        { code: "REFERENCE", severity: "defect", key: "zarr.json", message: matching(message) },
      ]);
  });

  it("compares names of axes with those of dimensions", async () => {
    const objects = new Map([
      [
        "zarr.json",
        group({ ome: { multiscales: [{ axes: [{ name: "y" }, { name: "d1" }], datasets: [{ path: "0" }] }] } }),
      ],
    ]);
    await craftStore({ ...ARRAY, path: "0" }, objects);
    expect(await finding(objects)).toMatchObject({ code: "METADATA_ODD", message: matching(/dimension_names/) });
  });
});

describe("places", () => {
  it("names the chunk in the array, and its bytes", async () => {
    const { objects, keys } = await craftStore({ ...ARRAY, codec: { name: "zstd", level: 1 } });
    const key = "c/1/0";
    expect(keys).toContain(key);
    const shard = objects.get(key)!;
    const view = new DataView(shard.buffer, shard.byteOffset);
    const entry = shard.length - INDEX + 16 * 2;
    const [offset, length] = [Number(view.getBigUint64(entry, true)), Number(view.getBigUint64(entry + 8, true))];
    shard.fill(0xff, offset, offset + length);
    // Chunk 2 of a shard of 2 × 2 chunks: row 1, column 0.
    const place = { chunk: 2, coordinates: [3, 0], offset, length };
    expect(await finding(objects)).toMatchObject({ code: "CHUNK_DECODE", key, ...place });
  });

  it("names the bytes of an index, of an entry and of a gap", async () => {
    const { objects } = await craftStore(ARRAY);
    const shard = objects.get("c/0/1")!;
    shard[shard.length - 1] ^= 1;
    const offset = shard.length - INDEX;
    expect(await finding(objects)).toMatchObject({ code: "INDEX_CHECKSUM", key: "c/0/1", offset, length: INDEX });
    const view = new DataView(shard.buffer, shard.byteOffset);
    // Of this shard's chunks the last column is outside: two are there, 16 bytes each.
    expect([0, 2].map((chunk) => Number(view.getBigUint64(offset + 16 * chunk, true)))).toEqual([0, 16]);
    view.setBigUint64(offset + 32, 17n, true);
    view.setUint32(shard.length - 4, crc32c(shard.subarray(offset, shard.length - 4)), true);
    expect(await finding(objects)).toMatchObject({
      code: "INDEX_ENTRY",
      key: "c/0/1",
      chunk: 2,
      offset: 17,
      length: 16,
      coordinates: [1, 2],
    });
    view.setBigUint64(offset + 32, 0xffffffffffffffffn, true);
    view.setBigUint64(offset + 40, 0xffffffffffffffffn, true);
    view.setUint32(shard.length - 4, crc32c(shard.subarray(offset, shard.length - 4)), true);
    expect(await finding(objects)).toMatchObject({
      code: "GAP",
      severity: "note",
      key: "c/0/1",
      offset: 16,
      length: 16,
      message: "16 of 100 bytes belong to no chunk, in one run from 16",
    });
  });

  it("tells a checksum from other damage, and what cannot be read from what is bad", async () => {
    const line = { dtype: "uint8", shape: [8], chunk: [8], shard: [8] } as const;
    const crc = await craftStore({ ...line, chain: { codecs: [{ name: "crc32c" }], encode: withCrc } });
    crc.objects.get("c/0")![3] ^= 1;
    expect(await finding(crc.objects)).toMatchObject({ code: "CHUNK_CHECKSUM" });
    const codec = { name: "zstd", configuration: { level: 1, checksum: true } };
    const sum = await craftStore({
      ...line,
      chain: { codecs: [codec], encode: (raw) => zstdFrame(raw, { checksum: true }) },
    });
    const shard = sum.objects.get("c/0")!;
    shard[shard.length - 20 - 1] ^= 1;
    expect(await finding(sum.objects)).toMatchObject({ code: "CHUNK_CHECKSUM" });
    // A Blosc container by a compressor that is not read.
    const blosclz = (raw: Uint8Array) =>
      Uint8Array.from([2, 1, 0, 1, raw.length, 0, 0, 0, raw.length, 0, 0, 0, 20, 0, 0, 0, 20, 0, 0, 0]);
    const blosc = {
      name: "blosc",
      configuration: { cname: "blosclz", clevel: 1, shuffle: "noshuffle", typesize: 1, blocksize: 0 },
    };
    const other = await craftStore({ ...line, chain: { codecs: [blosc], encode: blosclz } });
    expect(await finding(other.objects)).toMatchObject({ code: "CHUNK_UNSUPPORTED", severity: "defect" });
  });

  it("warns of chunks without the checksum that was promised", async () => {
    const codec = { name: "zstd", configuration: { level: 1, checksum: true } };
    const { objects } = await craftStore({ ...ARRAY, chain: { codecs: [codec], encode: (raw) => zstdFrame(raw) } });
    const found = await findings(objects);
    expect(found.map(({ code }) => code)).toEqual(Array(6).fill("CHECKSUM_ABSENT"));
    expect(found[0]).toMatchObject({ key: "c/0/0", chunk: 0, message: matching(/and 3 more chunks/) });
  });

  it("compares the headers of Blosc with the metadata: a flip there turns all values", async () => {
    const { objects } = await craftStore({
      ...ARRAY,
      shape: [64, 64],
      chunk: [32, 32],
      shard: [64, 64],
      codec: { name: "blosc" },
    });
    expect(await findings(objects)).toEqual([]);
    const shard = objects.get("c/0/0")!;
    expect(shard[2] & 0x05).toBe(1);
    // Byte shuffle becomes none, and every decoder takes it.
    shard[2] ^= 1;
    expect(await finding(objects)).toMatchObject({
      code: "CHUNK_HEADER",
      chunk: 0,
      coordinates: [0, 0],
      message: matching(/noshuffle/),
    });
  });
});

describe("objects", () => {
  it("tells which shards are absent, and how many", async () => {
    const { objects } = await craftStore(ARRAY);
    objects.delete("c/1/1");
    objects.delete("c/2/0");
    const report = await verifyStore(objects);
    expect(report.arrays[0]).toMatchObject({ objectsChecked: 4, objectsMissing: 2 });
    expect(report.notes).toMatchObject([
      { code: "SHARDS_ABSENT", key: "zarr.json", message: matching(/^2 of 6 .* c\/1\/1 first/) },
    ]);
  });

  it("notes stored chunks outside the shape", async () => {
    const { objects } = await craftStore({ ...ARRAY, shape: [9, 16] });
    edit(objects, (document) => {
      document.shape = [9, 10];
    });
    const found = await findings(objects);
    expect(found.map(({ code, key }) => `${code} ${key}`)).toEqual([
      "CHUNK_OUTSIDE c/0/1",
      "CHUNK_OUTSIDE c/1/1",
      "CHUNK_OUTSIDE c/2/1",
    ]);
  });

  it("warns of shards outside the shape, also along other dimensions while a writer has the store open", async () => {
    const { objects } = await craftStore(ARRAY);
    objects.set(".millrace/writer.json", text({ format: 1, writeId: "x", started: "now" }));
    objects.set("c/0/7", objects.get("c/0/0")!);
    const found = await findings(objects);
    expect(found.map(({ code, key }) => `${code} ${key}`)).toEqual([
      "OUTSIDE_SHAPE c/0/7",
      "WRITER .millrace/writer.json",
    ]);
  });

  it("says what to do about a writer that has not closed the store", async () => {
    const { objects } = await craftStore(ARRAY);
    objects.set("c/9/0.partial", Uint8Array.of(1));
    expect(await finding(objects)).toMatchObject({
      code: "PARTIAL_SHARD",
      message: matching(/no writer has the store open/),
    });
    const { hostname } = await import("node:os");
    for (const [marker, message] of [
      [
        { host: hostname(), pid: process.pid, ended: false, started: "2026-01-02" },
        /process \d+ of host .*, since 2026-01-02, has not closed .* seems to be at work/,
      ],
      [{ host: hostname(), pid: process.pid, ended: true }, /It has ended .* run "millrace recover memory"/],
      [{ host: "another", pid: 1, ended: false }, /If it has ended: run "millrace recover memory"/],
      [7, /marker does not read/],
    ] as const) {
      objects.set(".millrace/writer.json", text(marker));
      objects.set(".millrace/journal.0", Uint8Array.of(1));
      const found = await findings(objects);
      expect(found).toMatchObject([
        { code: "PARTIAL_SHARD", message: matching(/see WRITER/) },
        { code: "WRITER", key: ".millrace/writer.json", message: matching(message) },
      ]);
    }
  });
});

describe("bounds", () => {
  it("leaves out what takes more memory than allowed, before it reads it", async () => {
    const objects = await largeShard(2 ** 21, 2);
    expect(await findings(objects, { memoryBytes: 2 ** 24 })).toEqual([]);
    const store = new MemoryStore(objects);
    store.getRange = async (key, offset, length) => {
      if (key.startsWith("c/")) throw new Error("read all the same");
      return objects.get(key)?.slice(offset, offset + length);
    };
    const report = await verifyStore(store, { memoryBytes: 2 ** 20 });
    expect(report.defects).toMatchObject([
      { code: "MEMORY_LIMIT", key: "c/0", message: matching(/allowed are 1048576/) },
    ]);
  });

  it("bounds what an index of nonsense makes, and counts the rest", async () => {
    const { objects } = await craftStore({ dtype: "uint8", shape: [2 ** 17], chunk: [1], shard: [2 ** 17] });
    const shard = objects.get("c/0")!;
    const start = 2 ** 17;
    shard.fill(0, start);
    new DataView(shard.buffer, shard.byteOffset).setUint32(shard.length - 4, crc32c(shard.subarray(start, -4)), true);
    const report = await verifyStore(objects);
    expect(report.defects).toHaveLength(1000);
    expect(report.unlisted.defects).toBe(2 ** 17 - 1000);
  });

  it("checks its options", async () => {
    const { objects } = await craftStore(ARRAY);
    for (const options of [{ concurrency: 0 }, { threads: 257 }, { memoryBytes: 1000 }, { threads: 1.5 }]) {
      await expect(verifyStore(objects, options)).rejects.toMatchObject({
        code: "INVALID_OPTION",
        context: { option: Object.keys(options)[0] },
      });
    }
  });
});

describe("several at once", () => {
  it("gives the same report in the same order, whatever ends first", async () => {
    const { objects, keys } = await craftStore({ ...ARRAY, shape: [40, 40], codec: { name: "zstd", level: 1 } });
    for (const key of keys) objects.get(key)![5] ^= 0xff;
    objects.set("c/0/0.partial", Uint8Array.of(1));
    objects.set("stray", Uint8Array.of(1));
    const one = await verifyStore(objects, { concurrency: 1 });
    expect(one.defects.length).toBeGreaterThan(10);
    const slow = new MemoryStore(objects);
    let reads = 0;
    let most = 0;
    let now = 0;
    slow.getRange = async (key, offset, length) => {
      most = Math.max(most, ++now);
      for (let turns = (reads++ * 7) % 11; turns >= 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      now--;
      return objects.get(key)?.slice(offset, offset + length);
    };
    const seen: AnyFinding[] = [];
    const many = await verifyStore(slow, { concurrency: 5, onFinding: (found) => seen.push(found) });
    expect(many).toEqual(one);
    expect(seen.filter(({ severity }) => severity === "defect")).toEqual(one.defects);
    expect(most).toBe(5);
  });

  it("reads parts of one large shard at once, and tells of them in order", async () => {
    const objects = await largeShard(2 ** 20, 32);
    const whole = objects.get("c/0")!;
    expect(whole.length).toBeGreaterThan(2 ** 25);
    const store = new MemoryStore(objects);
    let most = 0;
    let now = 0;
    store.getRange = async (key, offset, length) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      // Every second window comes short.
      return objects
        .get(key)
        ?.slice(offset, offset + length - (key !== "c/0" || offset % 2 ** 23 === 0 || length < 1000 ? 0 : 1));
    };
    const report = await verifyStore(store, { concurrency: 4 });
    expect(most).toBe(4);
    expect(report.defects.map(({ code, offset }) => [code, offset])).toEqual(
      [1, 3, 5, 7].map((window) => ["READ", window * 2 ** 22]),
    );
  });

  it("ends soon after the signal, though a read does not come back", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const store = new MemoryStore(objects);
    const controller = new AbortController();
    const reason = new Error("enough");
    store.getRange = async (key, offset, length) => {
      if (key === keys[2]) {
        controller.abort(reason);
        return await new Promise<never>(() => {});
      }
      return objects.get(key)?.slice(offset, offset + length);
    };
    const aborted = { code: "CALL_ABORTED", cause: reason };
    await expect(verifyStore(store, { signal: controller.signal })).rejects.toMatchObject(aborted);
    await expect(verifyStore(store, { signal: controller.signal })).rejects.toMatchObject(aborted);
  });

  it("goes on where a part of the store cannot be listed", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const store = new MemoryStore(objects);
    store.list = async function* () {
      for (const key of keys.slice(0, 3)) yield { key, size: objects.get(key)!.length };
      throw new MillraceError("PERMISSION_DENIED", "not this folder", { context: { key: "c/2" } });
    };
    const report = await verifyStore(store);
    expect(report.defects).toMatchObject([{ code: "READ", key: "c/2", message: "not this folder" }]);
    expect(report.arrays[0].objectsChecked).toBe(3);
  });
});
