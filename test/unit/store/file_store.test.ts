import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileStore } from "../../../src/store/file_store.js";
import { inspectStore } from "../../../src/store/inspect.js";
import { MemoryStore } from "../../../src/store/memory_store.js";
import { openStore } from "../../../src/store/open_store.js";
import type { StoreReader } from "../../../src/store/store_reader.js";
import { verifyStore } from "../../../src/store/verify.js";
import { craftStore } from "../../helpers/craft_store.js";
import { fakeStore } from "./fake_store.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-store-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function put(objects: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [key, bytes] of objects) {
    await mkdir(join(folder, key, ".."), { recursive: true });
    await writeFile(join(folder, key), bytes);
  }
}

const OBJECTS = new Map([
  ["zarr.json", Uint8Array.of(1, 2, 3)],
  ["c/0/1", Uint8Array.of(10, 11, 12, 13, 14)],
  ["c/0/2", new Uint8Array(0)],
  ["c.x", Uint8Array.of(7)],
]);

const listed = async (store: StoreReader, prefix: string) => {
  const entries: string[] = [];
  for await (const { key, size } of store.list(prefix)) entries.push(`${key} ${size}`);
  return entries.sort();
};

describe.each(["file", "memory", "s3"])("%s store", (kind) => {
  const open = async (): Promise<StoreReader> => {
    if (kind === "memory") return new MemoryStore(OBJECTS);
    if (kind === "s3") return fakeStore(OBJECTS).store;
    await put(OBJECTS);
    return new FileStore(folder);
  };

  it("reads objects and ranges, clipped at their ends", async () => {
    const store = await open();
    expect([...(await store.get("c/0/1"))!]).toEqual([10, 11, 12, 13, 14]);
    expect([...(await store.getRange("c/0/1", 1, 2))!]).toEqual([11, 12]);
    expect([...(await store.getRange("c/0/1", 3, 100))!]).toEqual([13, 14]);
    expect([...(await store.getRange("c/0/1", 9, 1))!]).toEqual([]);
    expect([...(await store.get("c/0/2"))!]).toEqual([]);
    expect(await store.size("c/0/1")).toBe(5);
  });

  it("says undefined for what is not there, folders included", async () => {
    const store = await open();
    for (const key of ["c/0/3", "c", "c/0/1/2", "nothing/at/all"]) {
      expect(await store.get(key)).toBeUndefined();
      expect(await store.getRange(key, 0, 1)).toBeUndefined();
      expect(await store.size(key)).toBeUndefined();
    }
  });

  it("lists everything below a prefix, and only that", async () => {
    const store = await open();
    expect(await listed(store, "")).toEqual(["c.x 1", "c/0/1 5", "c/0/2 0", "zarr.json 3"]);
    expect(await listed(store, "c")).toEqual(["c/0/1 5", "c/0/2 0"]);
    expect(await listed(store, "c/0/1")).toEqual([]);
    expect(await listed(store, "nothing")).toEqual([]);
  });
});

describe.each(["file", "s3"])("%s store", (kind) => {
  it("stays inside its place", async () => {
    const store = kind === "file" ? new FileStore(folder) : fakeStore(OBJECTS).store;
    for (const key of ["../x", "/etc/passwd", "c/../../x", "c//1", "./c", "a\\b", "a\0b"]) {
      await expect(async () => await store.get(key)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
  });
});

describe("FileStore", () => {
  it("reads linked files and does not follow a loop of linked folders", async () => {
    await put(OBJECTS);
    await symlink(folder, join(folder, "loop"));
    await symlink(join(folder, "c", "0", "1"), join(folder, "linked"));
    await symlink(join(folder, "gone"), join(folder, "dangling"));
    await symlink(join(folder, "itself"), join(folder, "itself"));
    const store = new FileStore(folder);
    expect((await store.get("linked"))!.length).toBe(5);
    expect(await listed(store, "")).toContain("linked 5");
    expect((await listed(store, "")).filter((entry) => /^(loop\/|dangling|itself)/.test(entry))).toEqual([]);
  });

  it.skipIf(process.getuid?.() === 0)("says when access is refused", async () => {
    await put(OBJECTS);
    await chmod(join(folder, "c.x"), 0);
    await expect(new FileStore(folder).get("c.x")).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });

  it.skipIf(process.getuid?.() === 0)("lists the rest where a folder cannot be listed, and then says so", async () => {
    await put(new Map([...OBJECTS, ["b/1", Uint8Array.of(1)], ["d/1", Uint8Array.of(1)], ["e/1", Uint8Array.of(1)]]));
    for (const name of ["b", "d"]) await chmod(join(folder, name), 0);
    const keys: string[] = [];
    const listing = async () => {
      for await (const { key } of new FileStore(folder).list("")) keys.push(key);
    };
    await expect(listing()).rejects.toMatchObject({ code: "PERMISSION_DENIED", context: { failures: 2 } });
    expect(keys).toContain("e/1");
    for (const name of ["b", "d"]) await chmod(join(folder, name), 0o755);
  });

  it.skipIf(process.platform === "win32")("does not wait for a writer of a pipe that lies in the folder", async () => {
    execFileSync("mkfifo", [join(folder, "zarr.json")]);
    const store = new FileStore(folder);
    expect(await store.getRange("zarr.json", 0, 100)).toBeUndefined();
    await expect(verifyStore(folder)).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
  });
});

describe("openStore", () => {
  it("takes a path, a file: URL, a Map and a reader", async () => {
    await put(OBJECTS);
    const reader = new MemoryStore(OBJECTS);
    for (const target of [folder, pathToFileURL(folder), pathToFileURL(folder).href, OBJECTS, reader]) {
      expect((await (await openStore(target)).get("zarr.json"))!.length).toBe(3);
    }
  });
  it("refuses what is no folder", async () => {
    await put(OBJECTS);
    await expect(openStore(join(folder, "zarr.json"))).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await expect(openStore(join(folder, "zarr.json", "x"))).rejects.toMatchObject({ code: "STORE_NOT_FOUND" });
    await expect(openStore("https://example.org/run.zarr")).rejects.toMatchObject({ code: "NOT_YET" });
  });
});

describe("a store on disk", () => {
  it("verifies and inspects like one in memory", async () => {
    const group = new TextEncoder().encode('{"zarr_format":3,"node_type":"group"}');
    const objects = new Map([["zarr.json", group]]);
    const array = { dtype: "int32", shape: [5, 6], chunk: [2, 3], shard: [4, 3] } as const;
    await craftStore({ ...array, path: "0", codec: { name: "zstd", level: 4 }, fill: -3 }, objects);
    await craftStore({ ...array, shape: [3, 3], path: "1" }, objects);
    await put(objects);
    const onDisk = await verifyStore(folder);
    expect({ ...onDisk, location: "" }).toEqual({ ...(await verifyStore(objects)), location: "" });
    expect(onDisk.ok).toBe(true);

    const report = await inspectStore(folder);
    expect({ ...report, location: "" }).toEqual({ ...(await inspectStore(objects)), location: "" });
    expect(report.groups).toEqual([""]);
    expect(report.arrays).toMatchObject([
      {
        path: "0",
        dtype: "int32",
        dimensions: [
          { name: "d0", size: 5, chunk: 2, shard: 4 },
          { name: "d1", size: 6, chunk: 3, shard: 3 },
        ],
        codecs: [{ name: "zstd", configuration: { level: 4, checksum: false } }],
        fillValue: "-3",
        chunkBytes: 24,
        chunksPerShard: 2,
        objects: 4,
        objectsExpected: 4,
        bytesRaw: 120,
      },
      { path: "1", codecs: [], objects: 1, objectsExpected: 1, bytesRaw: 36, bytesStored: 2 * 24 + 36, ratio: 36 / 84 },
    ]);
    expect(report.arrays[0].ratio).toBe(120 / report.arrays[0].bytesStored);
  });
});
