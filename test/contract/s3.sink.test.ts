import { describe } from "vitest";
import { makeSink } from "../../src/sinks/make_sink.js";
import { s3Sink } from "../../src/sinks/s3_spec.js";
import type { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers } from "../helpers/s3_server.js";
import { withS3Server } from "../helpers/with_s3_server.js";
import { sinkContract } from "./sink.contract.js";

describe.each(s3Servers())("on %s", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  withS3Server(kind, (started, opened) => {
    server = started;
    bucket = opened;
  });

  sinkContract(`s3 (${kind})`, async () => {
    const prefix = randomPrefix();
    const { endpoint, region, credentials } = server;
    const spec = s3Sink({ bucket: server.bucket, prefix, endpoint, region, credentials });
    const below = `${prefix}/`;
    return {
      manyShards: 40,
      make: () => makeSink(spec.kind, spec.options, spec.location),
      read: (key) => bucket.get(below + key),
      // Without the marker, which is not for readers.
      keys: async () =>
        (await bucket.keys(below)).map((key) => key.slice(below.length)).filter((key) => !key.startsWith(".millrace/")),
      remove: () => bucket.removeBelow(prefix),
    };
  });
});
