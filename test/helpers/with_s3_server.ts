import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { TestBucket } from "./s3_client.js";
import { S3Proxy } from "./s3_proxy.js";
import { randomPrefix, type S3Kind, type S3Server, startS3Server } from "./s3_server.js";

/**
 * Starts a server before the tests of a block, hands it over with a look into its bucket, and ends both behind the
 * tests.
 */
export function withS3Server(kind: S3Kind, take: (server: S3Server, bucket: TestBucket) => void): void {
  let server: S3Server | undefined;
  let bucket: TestBucket | undefined;
  beforeAll(async () => {
    server = await startS3Server(kind);
    bucket = new TestBucket(server);
    take(server, bucket);
  });
  afterAll(async () => {
    bucket?.close();
    await server?.stop();
  });
}

/** A server behind a proxy, and a place of its own in its bucket for each test, which is empty again behind it. */
export interface ProxiedPlace {
  readonly server: S3Server;
  readonly bucket: TestBucket;
  readonly proxy: S3Proxy;
  readonly prefix: string;
}

/** As {@link withS3Server}, with a proxy that has no plan when a test begins; `take` is called before each test. */
export function withProxiedServer(kind: S3Kind, take: (place: ProxiedPlace) => void): void {
  let server: S3Server;
  let bucket: TestBucket;
  let proxy: S3Proxy | undefined;
  let prefix: string;
  withS3Server(kind, (started, opened) => {
    server = started;
    bucket = opened;
  });
  beforeAll(async () => {
    proxy = await S3Proxy.start(server.endpoint);
  });
  afterAll(() => proxy?.stop());
  beforeEach(() => {
    prefix = randomPrefix();
    proxy?.clear();
    take({ server, bucket, proxy: proxy as S3Proxy, prefix });
  });
  afterEach(async () => {
    proxy?.setPlan(() => undefined);
    await bucket.removeBelow(prefix);
  });
}
