import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadBucketCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { failureOf } from "../../helpers/outcome.js";
import { TestBucket } from "../../helpers/s3_client.js";
import { s3Operation } from "../../helpers/s3_operation.js";
import { type Fault, type FaultPlan, type S3ErrorCode, S3Proxy } from "../../helpers/s3_proxy.js";
import { randomPrefix, type S3Server, startS3Server } from "../../helpers/s3_server.js";

/** Of the SDK, of Node, of whoever failed. */
interface S3Failure extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers: Readonly<Record<string, string>> };
}

describe("S3 operations", () => {
  it.each([
    ["GET", "/", "ListBuckets", ""],
    ["PUT", "/b", "CreateBucket", ""],
    ["HEAD", "/b/", "HeadBucket", ""],
    ["DELETE", "/b", "DeleteBucket", ""],
    ["GET", "/b?list-type=2&prefix=c%2F0", "ListObjectsV2", ""],
    ["GET", "/b/?list-type=2", "ListObjectsV2", ""],
    ["GET", "/b?prefix=c", "ListObjects", ""],
    ["GET", "/b?uploads&prefix=c", "ListMultipartUploads", ""],
    ["GET", "/b?location", "GetBucketLocation", ""],
    ["POST", "/b?delete", "DeleteObjects", ""],
    ["GET", "/b/c/0", "GetObject", "c/0"],
    ["HEAD", "/b/a%20b%2Fc", "HeadObject", "a b/c"],
    ["PUT", "/b/c/0?x-id=PutObject", "PutObject", "c/0"],
    ["DELETE", "/b/c/0", "DeleteObject", "c/0"],
    ["POST", "/b/c/0?uploads", "CreateMultipartUpload", "c/0"],
    ["PUT", "/b/c/0?partNumber=3&uploadId=u", "UploadPart", "c/0"],
    ["GET", "/b/c/0?uploadId=u", "ListParts", "c/0"],
    ["POST", "/b/c/0?uploadId=u", "CompleteMultipartUpload", "c/0"],
    ["DELETE", "/b/c/0?uploadId=u", "AbortMultipartUpload", "c/0"],
    ["POST", "/b/c/0?select", "Other", "c/0"],
  ])("%s %s is %s", (method, url, operation, key) => {
    expect(s3Operation(method, url, {})).toMatchObject({ operation, bucket: url === "/" ? "" : "b", key });
  });

  it("knows copies by their header", () => {
    const headers = { "x-amz-copy-source": "/b/x" };
    expect(s3Operation("PUT", "/b/c", headers).operation).toBe("CopyObject");
    expect(s3Operation("PUT", "/b/c?partNumber=1&uploadId=u", headers).operation).toBe("UploadPartCopy");
  });
});

describe("fault proxy", () => {
  let server: S3Server;
  let proxy: S3Proxy;
  /** Through the proxy, without retries. */
  let client: TestBucket;
  /** Past the proxy: what has landed. */
  let direct: TestBucket;
  let prefix: string;
  const old = coordinateBytes(1, 100_000);
  const fresh = coordinateBytes(2, 90_000);

  beforeAll(async () => {
    server = await startS3Server("s3rver");
    direct = new TestBucket(server, { maxAttempts: 1 });
  });
  afterAll(async () => {
    direct?.close();
    await server?.stop();
  });
  beforeEach(async () => {
    proxy = await S3Proxy.start(server.endpoint);
    client = new TestBucket({ ...server, endpoint: proxy.endpoint }, { maxAttempts: 1 });
    prefix = randomPrefix();
    await direct.put(`${prefix}/x`, old);
  });
  afterEach(async () => {
    client.close();
    await proxy.stop();
  });

  /** `fault` for the first request of `operation`. */
  const first =
    (operation: string, fault: Fault): FaultPlan =>
    (request) =>
      request.operation === operation && request.n === 1 ? fault : undefined;
  const key = () => `${prefix}/x`;
  const put = (IfNoneMatch?: string) =>
    client.sdk.send(
      new PutObjectCommand({ Bucket: server.bucket, Key: key(), Body: fresh, Metadata: { w: "1" }, IfNoneMatch }),
    );
  const failure = async (promise: Promise<unknown>) => {
    const error = await failureOf<S3Failure>(promise);
    return { name: error.name, code: error.code, status: error.$metadata?.httpStatusCode, error };
  };

  /** `toEqual` looks at every byte for a tenth of a second. */
  const expectBytes = (bytes: Uint8Array | undefined, expected: Uint8Array) =>
    expect(Buffer.compare(bytes!, expected)).toBe(0);

  it("passes on what no plan is about", async () => {
    await put();
    expectBytes(await client.get(key()), fresh);
    expectBytes(await client.get(key(), "bytes=5-9"), fresh.subarray(5, 10));
    expect(await client.head(key())).toMatchObject({ byteLength: fresh.length, metadata: { w: "1" } });
    expect(await client.get(`${prefix}/none`)).toBeUndefined();
    expect(await client.keys(prefix)).toEqual([key()]);
    await client.removeBelow(prefix);
    expect(await direct.keys(prefix)).toEqual([]);
    expect(proxy.log.map((entry) => entry.operation)).toEqual([
      "PutObject",
      "GetObject",
      "GetObject",
      "HeadObject",
      "GetObject",
      "ListObjectsV2",
      "ListObjectsV2",
      "DeleteObjects",
    ]);
    expect(proxy.log.map((entry) => entry.status)).toEqual([200, 200, 206, 200, 404, 200, 200, 200]);
  });

  it("logs what a request says of the object", async () => {
    await put("*");
    await client.get(key(), "bytes=5-9");
    const [sent] = proxy.requests("PutObject");
    expect(sent).toMatchObject({ bucket: server.bucket, key: key(), n: 1, bodyBytes: fresh.length, serverStatus: 200 });
    expect(sent.headers).toMatchObject({ "if-none-match": "*", "x-amz-meta-w": "1" });
    expect(sent.headers["x-amz-content-sha256"]).toMatch(/^([0-9a-f]{64}|UNSIGNED-PAYLOAD)$/);
    expect(sent.headers.host).toBe(new URL(proxy.endpoint).host);
    expect(sent.headers.authorization).toBeUndefined();
    expect(proxy.requests("GetObject")[0].headers.range).toBe("bytes=5-9");
  });

  it("counts per operation, from 1, and again with each plan", async () => {
    const seen: string[] = [];
    const plan: FaultPlan = ({ operation, n }) => {
      seen.push(`${operation} ${n}`);
      return undefined;
    };
    proxy.setPlan(plan);
    await put();
    await client.get(key());
    await put();
    proxy.setPlan(plan);
    await put();
    expect(seen).toEqual(["PutObject 1", "GetObject 1", "PutObject 2", "PutObject 1"]);
  });

  it("counts the requests that are under way at once", async () => {
    proxy.setPlan(({ operation }) => (operation === "GetObject" ? "dropAnswer" : undefined));
    const gets = [1, 2, 3].map(() => failure(client.get(key())));
    while (proxy.requests("GetObject").filter((entry) => entry.serverStatus === 200).length < 3)
      await client.head(key());
    expect([proxy.maxInFlight(), proxy.maxInFlight("GetObject"), proxy.maxInFlight("HeadObject")]).toEqual([4, 3, 1]);
    await proxy.down();
    await Promise.all(gets);
    proxy.clear();
    expect([proxy.log.length, proxy.maxInFlight(), proxy.maxInFlight("GetObject")]).toEqual([0, 0, 0]);
  });

  it.each<[S3ErrorCode, number]>([
    ["InternalError", 500],
    ["SlowDown", 503],
    ["AccessDenied", 403],
    ["ExpiredToken", 400],
    ["InvalidAccessKeyId", 403],
    ["RequestTimeTooSkewed", 403],
    ["NoSuchBucket", 404],
    ["NoSuchUpload", 404],
    ["PreconditionFailed", 412],
    ["ConditionalRequestConflict", 409],
  ])("refuses with %s in place of the server", async (code, status) => {
    proxy.setPlan(first("PutObject", { refuse: code }));
    expect(await failure(put())).toMatchObject({ name: code, status });
    expect(proxy.log).toMatchObject([
      { operation: "PutObject", bodyBytes: fresh.length, status, serverStatus: undefined },
    ]);
    expectBytes(await direct.get(key()), old);
    await put();
    expectBytes(await direct.get(key()), fresh);
  });

  it("refuses to a client that asks before it sends", async () => {
    // The SDK asks for bodies of 2 MiB and more.
    const large = coordinateBytes(3, 3 << 20);
    for (const early of [true, false]) {
      proxy.clear();
      proxy.setPlan(first("PutObject", { refuse: "SlowDown", early }));
      expect(await failure(client.put(key(), large))).toMatchObject({ name: "SlowDown", status: 503 });
      expect(proxy.log[0].bodyBytes).toBe(early ? 0 : large.length);
    }
    await client.put(key(), large);
    expectBytes(await direct.get(key()), large);
  });

  it("sends elsewhere with the region's name", async () => {
    const headers = { "x-amz-bucket-region": "eu-west-1" };
    proxy.setPlan(first("HeadBucket", { refuse: "PermanentRedirect", headers }));
    const { status, error } = await failure(client.sdk.send(new HeadBucketCommand({ Bucket: server.bucket })));
    expect(status).toBe(301);
    expect(error.$response?.headers["x-amz-bucket-region"]).toBe("eu-west-1");
  });

  it("answers with a bare status", async () => {
    proxy.setPlan(first("PutObject", { status: 502 }));
    expect(await failure(put())).toMatchObject({ status: 502 });
    expectBytes(await direct.get(key()), old);
  });

  it("answers 200 with an error in it", async () => {
    const sdk = client.sdk;
    const at = { Bucket: server.bucket, Key: `${prefix}/parts` };
    const { UploadId } = await sdk.send(new CreateMultipartUploadCommand(at));
    const { ETag } = await sdk.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: fresh }));
    const command = { ...at, UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
    proxy.setPlan(first("CompleteMultipartUpload", { errorIn200: "InternalError" }));
    expect(await failure(sdk.send(new CompleteMultipartUploadCommand(command)))).toMatchObject({
      name: "InternalError",
    });
    expect(await direct.head(`${prefix}/parts`)).toBeUndefined();
    await sdk.send(new CompleteMultipartUploadCommand(command));
    expectBytes(await direct.get(`${prefix}/parts`), fresh);
  });

  it("resetBefore: fails, and has not landed", async () => {
    proxy.setPlan(first("PutObject", "resetBefore"));
    expect((await failure(put())).code).toMatch(/^(ECONNRESET|EPIPE)$/);
    expect(proxy.log).toMatchObject([{ bodyBytes: 0, status: undefined, serverStatus: undefined }]);
    expectBytes(await direct.get(key()), old);
    await put();
  });

  it("resetAfter: fails, and has landed", async () => {
    proxy.setPlan(first("PutObject", "resetAfter"));
    expect((await failure(put())).code).toBe("ECONNRESET");
    expect(proxy.log).toMatchObject([{ bodyBytes: fresh.length, status: undefined, serverStatus: 200 }]);
    expectBytes(await direct.get(key()), fresh);
  });

  it("truncate: the server gets part of the body, and no object is seen", async () => {
    for (const truncate of [0, 1, 50_000]) {
      proxy.setPlan(first("PutObject", { truncate }));
      expect((await failure(put())).code).toBe("ECONNRESET");
      expectBytes(await direct.get(key()), old);
    }
  });

  it("cutAnswer: the client gets part of the object", async () => {
    proxy.setPlan(first("GetObject", { cutAnswer: 50_000 }));
    expect((await failure(client.get(key()))).error.message).toMatch(/aborted|ECONNRESET|premature/i);
    expectBytes(await client.get(key()), old);
  });

  it("dropAnswer: lands, and the client waits until it gives up", async () => {
    proxy.setPlan(first("PutObject", "dropAnswer"));
    const giveUp = new AbortController();
    const command = new PutObjectCommand({ Bucket: server.bucket, Key: key(), Body: fresh });
    const put = failure(client.sdk.send(command, { abortSignal: giveUp.signal }));
    while (proxy.log[0]?.serverStatus !== 200) await direct.head(key());
    expectBytes(await direct.get(key()), fresh);
    expect(proxy.log[0].status).toBeUndefined();
    giveUp.abort();
    expect(await put).toMatchObject({ name: "AbortError" });
  });

  it("dropAnswer: stop ends the wait", async () => {
    proxy.setPlan(first("PutObject", "dropAnswer"));
    const waiting = failure(put());
    while (proxy.log[0]?.serverStatus !== 200) await direct.head(key());
    await proxy.stop();
    expect((await waiting).code).toBe("ECONNRESET");
  });

  it("corrupt: one bit of the body is another one", async () => {
    proxy.setPlan(first("PutObject", "corrupt"));
    await put();
    const landed = (await direct.get(key()))!;
    expect(landed.length).toBe(fresh.length);
    const wrong = [...landed.keys()].filter((i) => landed[i] !== fresh[i]);
    expect(wrong.map((i) => landed[i] ^ fresh[i])).toEqual([1]);
  });

  it("delayMs: waits, and then does what else was asked", async () => {
    proxy.setPlan(({ n, operation }) => {
      if (operation !== "PutObject") return undefined;
      return n === 1 ? { delayMs: 20, next: { refuse: "SlowDown" } } : { delayMs: 20 };
    });
    expect(await failure(put())).toMatchObject({ name: "SlowDown" });
    await put();
    expectBytes(await direct.get(key()), fresh);
  });

  it("down: nobody is there, until up", async () => {
    await client.get(key());
    await proxy.down();
    // The first may still try its old connection.
    expect((await failure(put())).code).toMatch(/^(ECONNRESET|ECONNREFUSED)$/);
    expect(await failure(put())).toMatchObject({ code: "ECONNREFUSED" });
    await proxy.up();
    await put();
    expectBytes(await direct.get(key()), fresh);
  });

  it("down: cuts what is under way", async () => {
    proxy.setPlan(first("PutObject", { delayMs: 60_000 }));
    const waiting = failure(put());
    while (proxy.log.length === 0) await direct.head(key());
    await proxy.down();
    expect((await waiting).code).toBe("ECONNRESET");
  });
});
