import { beforeEach, describe, expect, it, vi } from "vitest";
import { deferred } from "../../../src/base/deferred.js";
import { isMillraceError } from "../../../src/base/errors.js";
import { MARKER_KEY } from "../../../src/journal/writer_marker.js";
import { WRITE_ID_NAME } from "../../../src/s3/write_id.js";
import { S3Sink } from "../../../src/sinks/s3.js";
import { coordinateBytes, sinkContract } from "../../contract/sink.contract.js";
import { FakeS3, s3Failure } from "../../helpers/fake_s3.js";

const PART = 4000;

const sinkOn = (api: FakeS3, partBytes: number | undefined = PART) => new S3Sink({ api, partBytes, concurrency: 3 });

/** The marker is not what a reader of the store sees. */
const visible = (s3: FakeS3) => s3.keys().filter((key) => !key.startsWith(".millrace/"));

sinkContract("s3 in memory", async () => {
  const s3 = new FakeS3();
  s3.partBytesMin = PART;
  return {
    manyShards: 60,
    make: async () => sinkOn(s3),
    read: async (key) => s3.bytes(key)?.slice(),
    keys: async () => visible(s3),
    remove: async () => {
      expect([...s3.uploads.values()].map(({ key }) => key)).toEqual([]);
    },
  };
});

describe("the S3 sink", () => {
  let s3: FakeS3;
  beforeEach(() => {
    s3 = new FakeS3();
    s3.partBytesMin = PART;
  });

  const failing = async (run: Promise<unknown>): Promise<unknown> =>
    run.then(
      () => expect.unreachable(),
      (error: unknown) => error,
    );

  it("holds a marker while it is open, and none after a clean close", async () => {
    const sink = sinkOn(s3);
    await sink.open("create");
    expect(JSON.parse(Buffer.from(s3.bytes(MARKER_KEY)!).toString())).toMatchObject({ format: 1 });
    await sink.announceEnd(17);
    expect(JSON.parse(Buffer.from(s3.bytes(MARKER_KEY)!).toString())).toMatchObject({ endsAt: 17 });
    await sink.close();
    expect(s3.keys()).toEqual([]);
    expect(s3.closed).toBe(true);
  });

  it("leaves the marker when a shard was given up, and says so to the next writer", async () => {
    const sink = sinkOn(s3);
    await sink.open("create");
    const shard = await sink.openShard("c/0", { maxBytes: 20_000 });
    await shard.write([coordinateBytes(1, 3 * PART)]);
    await shard.abandon(true);
    await sink.close();
    expect(s3.keys()).toEqual([MARKER_KEY]);
    const error = await failing(sinkOn(s3).open("create"));
    expect(isMillraceError(error, "STORE_EXISTS")).toBe(true);
    expect((error as Error).message).toMatch(/crashed.*recover/s);
  });

  it("leaves the marker when metadata could not be written", async () => {
    const sink = sinkOn(s3);
    await sink.open("create");
    s3.before = (call) => {
      if (call.key === "zarr.json") throw s3Failure("S3_ACCESS_DENIED", call);
    };
    expect(isMillraceError(await failing(sink.putObject("zarr.json", coordinateBytes(1, 9))), "S3_ACCESS_DENIED")).toBe(
      true,
    );
    await sink.close();
    expect(s3.keys()).toEqual([MARKER_KEY]);
  });

  it("has many parts on their way at once without a warning of Node's", async () => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): void => void warnings.push(message);
    process.on("warning", onWarning);
    const sink = new S3Sink({ api: s3, partBytes: PART, concurrency: 20 });
    await sink.open("create");
    const shard = await sink.openShard("c/0", { maxBytes: 40 * PART });
    await shard.write([coordinateBytes(1, 40 * PART)]);
    await shard.seal(coordinateBytes(2, 20), true);
    await sink.close();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });

  it("gives every object a write id of its own", async () => {
    const sink = sinkOn(s3);
    await sink.open("create");
    await sink.putObject("zarr.json", coordinateBytes(1, 9));
    for (const key of ["c/0", "c/1"]) {
      const shard = await sink.openShard(key, { maxBytes: 20_000 });
      await shard.write([coordinateBytes(1, key === "c/0" ? 10 : 3 * PART)]);
      await shard.seal(coordinateBytes(2, 20), true);
    }
    const ids = [...s3.objects.values()].map(({ metadata }) => metadata[WRITE_ID_NAME]);
    expect(new Set(ids).size).toBe(4);
    expect(new Set(ids.map((id) => id.split(".")[0])).size).toBe(1);
    await sink.close();
  });

  it("lets one of two writers have an empty place", async () => {
    let both = 0;
    let go = () => {};
    const met = new Promise<void>((resolve) => {
      go = resolve;
    });
    s3.before = async ({ method }) => {
      if (method !== "putObject") return;
      if (++both === 2) go();
      await met;
    };
    const results = await Promise.allSettled([sinkOn(s3).open("create"), sinkOn(s3).open("create")]);
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused).toHaveLength(1);
    expect(isMillraceError(refused[0].reason, "STORE_EXISTS")).toBe(true);
  });

  it("bounds what a stream in a hurry still asks of a server that does not answer", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => lastWords.signal);
    const lastWords = new AbortController();
    const sink = sinkOn(s3);
    await sink.open("create");
    const shard = await sink.openShard("c/0", { maxBytes: 20_000 });
    await shard.write([coordinateBytes(1, 3 * PART)]);
    s3.before = () => new Promise(() => {});
    sink.hurry();
    expect(timeout).toHaveBeenCalledOnce();
    timeout.mockRestore();
    const ends = Promise.allSettled([shard.abandon(true), sink.putObject("zarr.json", coordinateBytes(1, 9))]);
    lastWords.abort();
    expect((await ends).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    await sink.close();
    expect(s3.keys()).toEqual([MARKER_KEY]);
  });

  it.each(["create", "resume", "overwrite"] as const)(
    "in a hurry, waits for no call of opening that is not answered (%s)",
    async (mode) => {
      const before = new FakeS3();
      if (mode !== "create") {
        const closed = sinkOn(before);
        await closed.open("create");
        await closed.putObject("zarr.json", coordinateBytes(1, 9));
        await closed.close();
      }
      const methods = new Set<string>();
      for (let at = 1; ; at++) {
        const api = before.copy();
        const sink = sinkOn(api);
        const held = deferred();
        api.before = (call) => {
          if (call.index !== at) return;
          methods.add(call.method);
          held.resolve();
          return new Promise(() => {});
        };
        const opened = sink.open(mode).then(() => "opened");
        if ((await Promise.race([opened, held.promise])) === "opened") break;
        sink.hurry();
        expect(isMillraceError(await failing(opened), "WRITER_ABORTED")).toBe(true);
        await sink.close();
        expect(api.closed).toBe(true);
      }
      expect(methods).toContain("putObject");
      expect(methods.size).toBeGreaterThan(1);
    },
  );

  it("in a hurry, ends an object that was on its way before, and what is read", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => lastWords.signal);
    const lastWords = new AbortController();
    const sink = sinkOn(s3);
    await sink.open("create");
    s3.before = () => new Promise(() => {});
    const put = sink.putObject("zarr.json", coordinateBytes(1, 9));
    const read = Promise.all([failing(sink.stored.size("c/0")), failing(sink.stored.getRange("c/0", 0, 9))]);
    sink.hurry();
    timeout.mockRestore();
    for (const error of await read) expect(isMillraceError(error, "WRITER_ABORTED")).toBe(true);
    lastWords.abort();
    await failing(put);
    await sink.close();
    expect(s3.closed).toBe(true);
  });

  it("does without conditions where the server has none", async () => {
    s3.before = (call) => {
      if (call.method === "putObject" && s3.calls.filter(({ method }) => method === "putObject").length === 1) {
        throw s3Failure("S3_UNSUPPORTED", call);
      }
    };
    const sink = sinkOn(s3);
    await sink.open("create");
    s3.objects.set("c/0", { bytes: new Uint8Array(1), metadata: {} });
    const shard = await sink.openShard("c/0", { maxBytes: 20_000 });
    await shard.seal(coordinateBytes(2, 20), true);
    await sink.close();
    expect(s3.bytes("c/0")).toEqual(coordinateBytes(2, 20));
  });

  it("overwrites what an interrupted overwrite has left, and old uploads with it", async () => {
    const put = (key: string) => s3.objects.set(key, { bytes: new Uint8Array(1), metadata: {} });
    for (const key of ["zarr.json", "c/0", "c/1"]) put(key);
    s3.uploads.set("old", { key: "c/2", uploadId: "old", parts: new Map(), metadata: {} });
    s3.after = ({ method }) => {
      if (method === "remove") throw new Error("power cut");
    };
    await failing(sinkOn(s3).open("overwrite"));
    expect(s3.keys()).toEqual([MARKER_KEY, "c/0", "c/1"]);
    s3.after = () => {};
    const sink = sinkOn(s3);
    await sink.open("overwrite");
    expect(s3.keys()).toEqual([MARKER_KEY]);
    expect(s3.uploads.size).toBe(0);
    await sink.close();
  });

  it("does not overwrite what is no store", async () => {
    s3.objects.set("thesis.tex", { bytes: new Uint8Array(1), metadata: {} });
    const error = await failing(sinkOn(s3).open("overwrite"));
    expect(isMillraceError(error, "INVALID_OPTION")).toBe(true);
    expect(s3.keys()).toEqual(["thesis.tex"]);
  });

  it("refuses shards that no object can hold", async () => {
    const sink = sinkOn(s3, 5 * 2 ** 20);
    await sink.open("create");
    const error = await failing(sink.openShard("c/0", { maxBytes: 60_000 * 2 ** 20 }));
    expect(isMillraceError(error, "INVALID_OPTION")).toBe(true);
    await sink.close();
  });
});
