import { describe, expect, it } from "vitest";
import { type ErrorCode, MillraceError } from "../../../src/base/errors.js";
import { openArray } from "../../../src/store/array_reader.js";
import { inspectStore } from "../../../src/store/inspect.js";
import { openStore, withStore } from "../../../src/store/open_store.js";
import { WINDOW_BYTES } from "../../../src/store/read_windows.js";
import { S3Store, s3Store } from "../../../src/store/s3_store.js";
import { verifyStore } from "../../../src/store/verify.js";
import { craftStore } from "../../helpers/craft_store.js";
import { s3Failure } from "../../helpers/fake_s3.js";
import { fakeStore } from "./fake_store.js";

const ARRAY = { dtype: "uint16", shape: [9, 8, 6], chunk: [2, 3, 4], shard: [4, 9, 8] } as const;
const SHARDS = 3;

describe("S3Store", () => {
  it("asks for nothing before the first read, and opens one client for all", async () => {
    const { store, about } = fakeStore(new Map([["zarr.json", Uint8Array.of(1)]]));
    expect(about.opened).toBe(0);
    await Promise.all([store.get("zarr.json"), store.size("zarr.json"), store.getRange("zarr.json", 0, 1)]);
    expect(about.opened).toBe(1);
  });

  it("closes its client, and opens another one where somebody reads on", async () => {
    const { store, fake, about } = fakeStore(new Map([["zarr.json", Uint8Array.of(1)]]));
    await store.close();
    await store.get("zarr.json");
    expect(fake.closed).toBe(false);
    await store.close();
    await store[Symbol.asyncDispose]();
    expect([fake.closed, about.opened]).toEqual([true, 1]);
    expect(await store.size("zarr.json")).toBe(1);
    expect(about.opened).toBe(2);
  });

  it("closes without a word after a client that did not load", async () => {
    const missing = new MillraceError("S3_CLIENT_MISSING", "not there.");
    const store = new S3Store("s3://b", () => Promise.reject(missing));
    await expect(store.get("a")).rejects.toBe(missing);
    await expect(store.list("")[Symbol.asyncIterator]().next()).rejects.toBe(missing);
    await store.close();
  });

  it("lists keys as they are, also those that no key of a store can be", async () => {
    const strange = ["a//b", "c\\d", "c/0/0"];
    const { store } = fakeStore(new Map(strange.map((key) => [key, new Uint8Array(3)])));
    const listed: string[] = [];
    for await (const { key, size } of store.list("")) listed.push(`${key} ${size}`);
    expect(listed.sort()).toEqual(["a//b 3", "c/0/0 3", "c\\d 3"]);
    await expect(store.list("c//0")[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  it.each<[string, (store: S3Store) => Promise<unknown>]>([
    ["get", (store) => store.get("k")],
    ["getRange", (store) => store.getRange("k", 1, 2)],
    ["size", (store) => store.size("k")],
    ["list", (store) => store.list("k")[Symbol.asyncIterator]().next()],
  ])("%s passes errors on; one without a name becomes a failed read", async (_name, read) => {
    const { store, fake } = fakeStore(new Map([["k", Uint8Array.of(1, 2, 3)]]));
    let failure: Error = s3Failure("S3_ACCESS_DENIED", { method: "get", key: "k", index: 1 });
    fake.before = () => {
      throw failure;
    };
    await expect(read(store)).rejects.toBe(failure);
    failure = new MillraceError("SINK_FAILED", "GetObject failed: odd.", { context: { operation: "GetObject" } });
    await expect(read(store)).rejects.toMatchObject({
      code: "STORE_READ_FAILED",
      message: "GetObject failed: odd.",
      context: { operation: "GetObject", key: "k" },
      cause: failure,
    });
    failure = new TypeError("x is undefined");
    await expect(read(store)).rejects.toMatchObject({ code: "STORE_READ_FAILED", cause: failure });
  });
});

describe("s3Store and openStore", () => {
  it.each([
    ["s3://bucket/a/run.zarr", "s3://bucket/a/run.zarr"],
    ["s3://bucket/a b%20c/", "s3://bucket/a b%20c"],
    [new URL("s3://bucket/a b/run.zarr"), "s3://bucket/a b/run.zarr"],
    ["S3://bucket", "s3://bucket"],
  ])("opens %s, and asks nobody", async (target, location) => {
    const store = await openStore(target);
    expect(store).toBeInstanceOf(S3Store);
    expect(store.location).toBe(location);
  });

  it.each(["s3://", "s3:///run.zarr", "s3://bucket/../run.zarr", "s3://bucket//run.zarr", new URL("s3://bucket/%")])(
    "refuses %s",
    async (target) => {
      await expect(openStore(target)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    },
  );

  it("checks its options", () => {
    expect(s3Store({ bucket: "b", prefix: "p", endpoint: "http://127.0.0.1:1" }).location).toBe("s3://b/p");
    expect(() => s3Store({ bucket: "b", partBytes: 1 } as never)).toThrow(/s3Store partBytes must be left out/);
    expect(() => s3Store({ bucket: "" })).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("a store on S3", () => {
  it("reads, verifies and inspects like one in memory", async () => {
    const { objects, expected } = await craftStore(ARRAY);
    const { store, fake } = fakeStore(objects);
    expect((await (await openArray(store)).readRegion()).data).toEqual(expected);
    expect({ ...(await verifyStore(store)), location: "" }).toEqual({ ...(await verifyStore(objects)), location: "" });
    expect({ ...(await inspectStore(store)), location: "" }).toEqual({
      ...(await inspectStore(objects)),
      location: "",
    });
    // It is the caller's.
    expect(fake.closed).toBe(false);
  });

  it("is closed by whoever opened it", async () => {
    const seen: (string | undefined)[] = [];
    const closed: string[] = [];
    const original = S3Store.prototype.close;
    S3Store.prototype.close = async function () {
      closed.push(this.location);
    };
    try {
      await withStore("s3://bucket/a", async (store) => seen.push(store.location));
      await expect(withStore("s3://bucket/b", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
      await withStore(s3Store({ bucket: "mine" }), async (store) => seen.push(store.location));
    } finally {
      S3Store.prototype.close = original;
    }
    expect(seen).toEqual(["s3://bucket/a", "s3://mine"]);
    expect(closed).toEqual(["s3://bucket/a", "s3://bucket/b"]);
  });

  it("verifies a small shard by one request, and a large one by few", async () => {
    const small = await craftStore(ARRAY);
    const { store, fake } = fakeStore(small.objects);
    await verifyStore(store);
    const ofShards = () => fake.calls.filter(({ key }) => key.startsWith("c/")).map(({ method }) => method);
    expect(ofShards()).toEqual(Array(SHARDS).fill("get"));

    // 6 chunks of 1 MiB: the index, and windows of 4 and 2 chunks.
    const chunk = [2 ** 17] as const;
    const shape = [6 * 2 ** 17] as const;
    const large = await craftStore({ dtype: "float64", shape, chunk, shard: shape, codec: { name: "none" } });
    const second = fakeStore(large.objects);
    const report = await verifyStore(second.store);
    expect(report).toMatchObject({ ok: true, arrays: [{ chunksChecked: 6 }] });
    expect(second.fake.calls.filter(({ key }) => key.startsWith("c/"))).toHaveLength(1 + 2);
    expect(6 * 2 ** 20).toBeGreaterThan(WINDOW_BYTES);
  });

  it("finds a shard that shrank or went away between listing and reading", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    for (const change of ["shorter", "gone"]) {
      const { store, fake } = fakeStore(objects);
      fake.before = ({ method, key }) => {
        if (method !== "get" || key !== keys[1]) return;
        if (change === "gone") fake.objects.delete(key);
        else fake.objects.set(key, { bytes: objects.get(key)!.subarray(0, -1), metadata: {} });
      };
      const report = await verifyStore(store);
      expect(report.defects).toMatchObject([
        { code: "READ", key: keys[1], message: expect.stringContaining(change === "gone" ? "went away" : "changed") },
      ]);
    }
  });

  it("counts what one object's reading fails with as a defect, and ends where nothing can be asked", async () => {
    const { objects, keys } = await craftStore(ARRAY);
    const failOn = (failing: string, code: ErrorCode) => {
      const { store, fake } = fakeStore(objects);
      fake.before = ({ key }) => {
        if (key === failing) throw new MillraceError(code, `${code} of ${key}.`, { context: { key } });
      };
      return store;
    };
    for (const code of ["S3_ACCESS_DENIED", "S3_SERVER_ERROR", "S3_REFUSED"] as const) {
      const report = await verifyStore(failOn(keys[0], code));
      expect(report.defects).toMatchObject([{ code: "READ", key: keys[0], message: `${code} of ${keys[0]}.` }]);
      expect(report.arrays[0].objectsChecked).toBe(SHARDS);
    }
    for (const code of ["S3_UNREACHABLE", "S3_CREDENTIALS", "S3_NO_BUCKET"] as const) {
      for (const failing of [keys[0], "zarr.json", ""]) {
        await expect(verifyStore(failOn(failing, code))).rejects.toMatchObject({ code });
      }
      for (const failing of ["zarr.json", ""]) {
        await expect(inspectStore(failOn(failing, code))).rejects.toMatchObject({ code });
      }
    }
  });

  it("says that there is no store", async () => {
    const { store } = fakeStore(new Map([["notes.txt", new Uint8Array(1)]]));
    for (const read of [verifyStore(store), inspectStore(store), openArray(store)]) {
      await expect(read).rejects.toMatchObject({ code: "STORE_NOT_FOUND", context: { location: "s3://fake/store" } });
    }
  });
});
