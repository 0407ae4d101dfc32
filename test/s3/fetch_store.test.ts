import { afterAll, beforeAll, expect, it } from "vitest";
import * as zarr from "zarrita";
import { openWriter, s3Sink } from "../../src/index.js";
import { randomPrefix, type S3Server, startS3Server } from "../helpers/s3_server.js";

const [T, Y, X] = [5, 6, 7];

/** s3rver alone: it serves objects to whoever asks, as a bucket does that is public. */
let server: S3Server;
beforeAll(async () => {
  server = await startS3Server("s3rver");
});
afterAll(() => server.stop());

it("a stranger reads a store over plain HTTP, while it grows and when it is closed", async () => {
  const { bucket, endpoint, region, credentials } = server;
  const prefix = randomPrefix();
  const writer = await openWriter({
    sink: s3Sink({ bucket, prefix, endpoint, region, credentials }),
    array: {
      dtype: "uint16",
      dimensions: [
        { name: "t", size: null, chunk: 1, shard: 2 },
        { name: "y", size: Y, chunk: 3, shard: 6 },
        { name: "x", size: X, chunk: 4, shard: 8 },
      ],
      codec: { name: "blosc" },
    },
    backend: "cpu",
    threads: "inline",
  });
  const values = Uint16Array.from({ length: T * Y * X }, (_, i) => i);
  const read = async () => {
    const store = new zarr.FetchStore(`${endpoint}/${bucket}/${prefix}`);
    const array = await zarr.open.v3(store, { kind: "array" });
    const { data, shape } = await zarr.get(array);
    return { data: [...(data as Uint16Array)], shape };
  };

  await writer.append(values.subarray(0, 4 * Y * X));
  await writer.flush();
  expect(await read()).toEqual({ data: [...values.subarray(0, 4 * Y * X)], shape: [4, Y, X] });
  await writer.append(values.subarray(4 * Y * X));
  await writer.close();
  expect(await read()).toEqual({ data: [...values], shape: [T, Y, X] });
});
