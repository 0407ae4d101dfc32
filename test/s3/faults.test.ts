import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";
import type { TestBucket } from "../helpers/s3_client.js";
import type { Fault, S3ErrorCode, S3Proxy, S3Request } from "../helpers/s3_proxy.js";
import { type S3Server, s3Servers } from "../helpers/s3_server.js";
import { FRAMES, FRAMES_PER_SHARD, placeOn, readBack, streamFrames } from "../helpers/s3_stream.js";
import { isWide } from "../helpers/wide.js";
import { withProxiedServer } from "../helpers/with_s3_server.js";

/**
 * A real server behind a proxy that does to requests what networks and servers do. Whatever happens: the store is whole
 * and nobody was told of an error, or the writer has one with a code that says what to do, and what was published reads
 * right. No upload is left behind.
 */
const WRITES = ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] as const;

/** What a second attempt gets over. */
const PASSING: readonly (readonly [string, Fault])[] = [
  ["500", { refuse: "InternalError" }],
  ["503 SlowDown", { refuse: "SlowDown" }],
  ["a bare 502", { status: 502 }],
  ["a reset before the request", "resetBefore"],
  ["a reset after it has landed", "resetAfter"],
  ["no answer after it has landed", "dropAnswer"],
  ["half of the request", { truncate: 100 }],
  ["a delay", { delayMs: 200 }],
];

/** What no attempt gets over. */
const LASTING: readonly (readonly [S3ErrorCode, ErrorCode])[] = [
  ["AccessDenied", "S3_ACCESS_DENIED"],
  ["InvalidAccessKeyId", "S3_CREDENTIALS"],
  ["ExpiredToken", "S3_CREDENTIALS"],
  ["RequestTimeTooSkewed", "S3_CLOCK_SKEW"],
  ["NoSuchBucket", "S3_NO_BUCKET"],
  ["PermanentRedirect", "S3_WRONG_REGION"],
  ["SlowDown", "S3_SERVER_ERROR"],
  ["InternalError", "S3_SERVER_ERROR"],
  ["NotImplemented", "S3_UNSUPPORTED"],
];

const isOfShard = ({ key }: S3Request, shard: number) => key.endsWith(`/c/${shard}/0/0`);

describe.each(s3Servers())("a stream to %s", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  let proxy: S3Proxy;
  let prefix: string;
  withProxiedServer(kind, (place) => {
    ({ server, bucket, proxy, prefix } = place);
  });

  const place = () => placeOn(server, prefix, proxy.endpoint);
  const uploadsLeft = async () => (await bucket.uploads(prefix)) ?? [];
  const isClean = async () => !(await bucket.keys(prefix)).some((key) => key.includes("/.millrace/"));

  async function expectWhole(): Promise<void> {
    expect(await readBack(bucket, prefix)).toBe(FRAMES);
    expect(await uploadsLeft()).toEqual([]);
    expect(await isClean()).toBe(true);
  }

  it("is whole, in parts of which several are on their way, each with its checksum", async () => {
    const { error, watermarks } = await streamFrames(place());
    expect(error).toBeUndefined();
    expect(watermarks).toMatchObject({ durable: FRAMES, published: FRAMES });
    await expectWhole();
    const parts = proxy.requests("UploadPart");
    expect(parts).toHaveLength(4);
    expect(parts.every(({ headers }) => headers["x-amz-checksum-crc32"] !== undefined)).toBe(true);
    expect(proxy.maxInFlight("UploadPart")).toBeGreaterThan(1);
    expect(proxy.maxInFlight("UploadPart")).toBeLessThanOrEqual(3);
    expect(proxy.requests("CompleteMultipartUpload").every(({ headers }) => headers["if-none-match"] === "*")).toBe(
      true,
    );
  });

  describe.each(WRITES)("%s, the first of each object", (operation) => {
    // Every fault once, every operation twice; all pairs in a wide run.
    const index = WRITES.indexOf(operation);
    it.each(PASSING.filter((_, i) => isWide || i % WRITES.length === index))("%s", async (_, fault) => {
      // Each object once: a plan by number would fall behind once requests are repeated.
      const done = new Set<string>();
      proxy.setPlan((request) => {
        if (request.operation !== operation || request.key.includes("/.millrace/") || done.has(request.key))
          return undefined;
        done.add(request.key);
        return fault;
      });
      const { error } = await streamFrames(place());
      expect(error).toBeUndefined();
      expect(done.size).toBeGreaterThan(0);
      await expectWhole();
    });
  });

  it("gets over an error inside of a 200", async () => {
    proxy.setPlan(({ operation, n }) =>
      operation === "CompleteMultipartUpload" && n === 1 ? { errorIn200: "InternalError" } : undefined,
    );
    expect((await streamFrames(place())).error).toBeUndefined();
    await expectWhole();
  });

  it("gets over every fourth request being lost", async () => {
    let requests = 0;
    proxy.setPlan(() =>
      ++requests % 4 === 0 ? (requests % 8 === 0 ? "resetAfter" : { refuse: "SlowDown" }) : undefined,
    );
    expect((await streamFrames(place())).error).toBeUndefined();
    proxy.setPlan(() => undefined);
    await expectWhole();
  });

  /** Everything of the second shard fails; the first one is published, and stays. */
  async function expectFirstShardOnly(
    fault: Fault,
    code: ErrorCode,
    operations: readonly string[] = WRITES,
  ): Promise<void> {
    proxy.setPlan((request) => (isOfShard(request, 1) && operations.includes(request.operation) ? fault : undefined));
    const { error, watermarks } = await streamFrames(place());
    expect(error?.code).toBe(code);
    expect(error?.context).toMatchObject({ bucket: server.bucket, key: `${prefix}/c/1/0/0` });
    expect(watermarks.published).toBe(FRAMES_PER_SHARD);
    expect(await readBack(bucket, prefix)).toBe(FRAMES_PER_SHARD);
    if (server.features.abortUpload) expect(await uploadsLeft()).toEqual([]);
  }

  it.each(LASTING)("ends with %s as %s, and keeps what was published", async (refuse, code) => {
    await expectFirstShardOnly({ refuse }, code);
  });

  it.each(["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])(
    "ends when every %s is reset",
    async (operation) => {
      await expectFirstShardOnly("resetBefore", "S3_UNREACHABLE", [operation]);
    },
  );

  it("ends when no part is answered", async () => {
    await expectFirstShardOnly("dropAnswer", "S3_UNREACHABLE", ["UploadPart"]);
  });

  it("names the request that was refused, and the way out", async () => {
    proxy.setPlan((request) => (isOfShard(request, 1) ? { refuse: "AccessDenied" } : undefined));
    const { error } = await streamFrames(place());
    expect(error?.context).toMatchObject({ operation: "CreateMultipartUpload", status: 403, requestId: "INJECTED" });
    expect(error?.message).toMatch(/AccessDenied.*policy/s);
  });

  it.runIf(kind !== "s3rver")("refuses bytes that were damaged on the way", async () => {
    proxy.setPlan((request) => (request.operation === "UploadPart" && isOfShard(request, 1) ? "corrupt" : undefined));
    const { error } = await streamFrames(place());
    expect(error?.code).toMatch(/^S3_/);
    expect(await readBack(bucket, prefix)).toBe(FRAMES_PER_SHARD);
    expect(await uploadsLeft()).toEqual([]);
  });

  it("ends when credentials expire in the middle, readable up to what was published", async () => {
    let expired = false;
    proxy.setPlan(() => (expired ? { refuse: "ExpiredToken" } : undefined));
    const { error, watermarks } = await streamFrames(place(), async (frame, writer) => {
      // The first shard is sealed and published by then.
      while (frame === 6 && writer.watermarks.published === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      expired ||= frame === 6;
    });
    expect(error?.code).toBe("S3_CREDENTIALS");
    expect(watermarks.published).toBe(FRAMES_PER_SHARD);
    proxy.setPlan(() => undefined);
    expect(await readBack(bucket, prefix)).toBe(FRAMES_PER_SHARD);
    // What it could not remove without credentials it has marked for recovery.
    expect(await isClean()).toBe(false);
  });

  it("ends when the server goes away, and close returns", async () => {
    const { error, watermarks } = await streamFrames(place(), async (frame, writer) => {
      if (frame !== 6) return;
      while (writer.watermarks.published === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await proxy.down();
    });
    await proxy.up();
    expect(error?.code).toBe("S3_UNREACHABLE");
    expect(watermarks.published).toBe(FRAMES_PER_SHARD);
    expect(await readBack(bucket, prefix)).toBe(FRAMES_PER_SHARD);
    expect(await isClean()).toBe(false);
  });

  it("aborts while no part is answered, without waiting for any", async () => {
    proxy.setPlan(({ operation }) => (operation === "UploadPart" ? "dropAnswer" : undefined));
    const patient = { ...place(), idleTimeoutMs: 600_000 };
    const { error } = await streamFrames(patient, async (frame, writer) => {
      if (frame !== 4) return;
      while (proxy.requests("UploadPart").length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      await writer.abort();
    });
    expect(error?.code).toBe("WRITER_ABORTED");
    expect(await readBack(bucket, prefix)).toBe(0);
    if (server.features.abortUpload) expect(await uploadsLeft()).toEqual([]);
    expect(await isClean()).toBe(false);
  });

  it("waits for a slow server, and for nothing else", async () => {
    proxy.setPlan(({ operation }) => (operation === "UploadPart" ? { delayMs: 400 } : undefined));
    expect((await streamFrames(place())).error).toBeUndefined();
    await expectWhole();
  });
});
