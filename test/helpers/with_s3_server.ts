import { afterAll, beforeAll } from "vitest";
import { TestBucket } from "./s3_client.js";
import { type S3Kind, type S3Server, startS3Server } from "./s3_server.js";

/** Starts a server before the tests of a block, hands it over with a look into its bucket, and ends both behind the tests. */
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
