import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";
import { type S3SinkOptions, s3Sink } from "../../src/sinks/s3_spec.js";
import { openWriter } from "../../src/writer/open_writer.js";
import type { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers } from "../helpers/s3_server.js";
import { placeOn } from "../helpers/s3_stream.js";
import { withS3Server } from "../helpers/with_s3_server.js";

const ARRAY = { dtype: "uint8", dimensions: [{ name: "t", size: null, chunk: 4, shard: 8 }] } as const;

async function open(place: S3SinkOptions, mode: "create" | "overwrite" = "create") {
  return await openWriter({ sink: s3Sink(place), array: ARRAY, mode, threads: "inline", backend: "cpu" });
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.each(s3Servers())("opening a store on %s", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  withS3Server(kind, (started, opened) => {
    server = started;
    bucket = opened;
  });

  it.each<[string, ErrorCode, (place: S3SinkOptions) => Promise<S3SinkOptions>]>([
    ["no bucket", "S3_NO_BUCKET", async (place) => ({ ...place, bucket: "there-is-none" })],
    [
      "a key that nobody knows",
      "S3_CREDENTIALS",
      async (place) => ({ ...place, credentials: { accessKeyId: "nobody", secretAccessKey: "none" } }),
    ],
    [
      "no server",
      "S3_UNREACHABLE",
      async (place) => ({ ...place, endpoint: `http://127.0.0.1:${await closedPort()}` }),
    ],
    [
      "another protocol",
      "S3_UNREACHABLE",
      async (place) => ({ ...place, endpoint: place.endpoint?.replace("http:", "https:") }),
    ],
  ])("with %s is %s", async (_, code, change) => {
    await expect(open(await change(placeOn(server, randomPrefix())))).rejects.toMatchObject({
      name: "MillraceError",
      code,
    });
  });

  it.runIf(kind === "versitygw")("with a wrong secret is S3_CREDENTIALS", async () => {
    const place = placeOn(server, randomPrefix());
    const credentials = { ...server.credentials, secretAccessKey: "wrong" };
    await expect(open({ ...place, credentials })).rejects.toMatchObject({ code: "S3_CREDENTIALS" });
  });

  it("refuses a store that is there, and one that is being written", async () => {
    const prefix = randomPrefix();
    const first = await open(placeOn(server, prefix));
    await expect(open(placeOn(server, prefix))).rejects.toMatchObject({ code: "STORE_EXISTS" });
    await first.append(new Uint8Array(8));
    await first.close();
    await expect(open(placeOn(server, prefix))).rejects.toMatchObject({ code: "STORE_EXISTS" });
    const again = await open(placeOn(server, prefix), "overwrite");
    await again.close();
    expect(await bucket.keys(prefix)).toEqual([`${prefix}/zarr.json`]);
    await bucket.removeBelow(prefix);
  });

  it("does not take a store whose name begins like this one for its own", async () => {
    const prefix = randomPrefix();
    await bucket.put(`${prefix}-2/zarr.json`, new Uint8Array(2));
    const writer = await open(placeOn(server, prefix));
    await writer.append(new Uint8Array(8));
    await writer.close();
    await (await open(placeOn(server, prefix), "overwrite")).close();
    expect(await bucket.keys(`${prefix}-2/`)).toEqual([`${prefix}-2/zarr.json`]);
    await bucket.removeBelow(prefix);
  });
});
