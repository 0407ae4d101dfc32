import { describe, expect, it } from "vitest";
import type { ArrayOptions } from "../../src/options.js";
import { recoverStore } from "../../src/recover/recover.js";
import { s3Sink } from "../../src/sinks/s3_spec.js";
import { s3Store } from "../../src/store/s3_store.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { appended, rowBytes, streamOn } from "../helpers/resume_stream.js";
import type { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers } from "../helpers/s3_server.js";
import { withS3Server } from "../helpers/with_s3_server.js";

const MIB = 2 ** 20;

/** A row is a megabyte in two shards; one of six rows takes a request, one of twelve two parts. */
const array = (shardRows: number): ArrayOptions => ({
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 3, shard: shardRows },
    { name: "x", size: MIB / 2, chunk: MIB / 8, shard: MIB / 4 },
  ],
});

describe.each(s3Servers())("a stream into %s that is resumed", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  withS3Server(kind, (theServer, theBucket) => {
    server = theServer;
    bucket = theBucket;
  });

  const placeOf = (prefix: string) => {
    const { endpoint, region, credentials } = server;
    return { bucket: server.bucket, prefix, endpoint, region, credentials };
  };

  /** Every object below the prefix, by what follows it. */
  async function objects(prefix: string): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    for (const key of await bucket.keys(`${prefix}/`)) {
      found.set(key.slice(prefix.length), (await bucket.get(key)) as Uint8Array);
    }
    return found;
  }

  it.each([
    ["in objects of one request", 6, [4, 9, 1]],
    ["in objects of several parts", 12, [14, 3, 9]],
    ["between rows of shards", 6, [6, 6]],
  ])("%s ends as one that was never cut", async (_, shardRows, rows) => {
    const prefix = randomPrefix();
    const cut = `${prefix}/cut.zarr`;
    const whole = `${prefix}/whole.zarr`;
    const total = rows.reduce((sum, count) => sum + count);
    for (const [i, count] of rows.entries()) {
      const mode = i === 0 ? "create" : "resume";
      await streamOn({ sink: s3Sink({ ...placeOf(cut), partBytes: 5 * MIB }), array: array(shardRows), mode }, [
        appended(count),
      ]);
    }
    await streamOn({ sink: s3Sink({ ...placeOf(whole), partBytes: 5 * MIB }), array: array(shardRows) }, [
      appended(total),
    ]);
    const expected = await objects(whole);
    const found = await objects(cut);
    expect([...found.keys()]).toEqual([...expected.keys()]);
    for (const [key, bytes] of expected) expect(Buffer.compare(found.get(key)!, bytes), key).toBe(0);
    expect(await bucket.uploads(cut)).toEqual(kind === "s3rver" ? undefined : []);
    await bucket.removeBelow(prefix);
  });

  it("after it was aborted and recovered ends with every row", async () => {
    const prefix = randomPrefix();
    const place = placeOf(`${prefix}/run.zarr`);
    const writer = await openWriter({
      sink: s3Sink({ ...place, partBytes: 5 * MIB }),
      array: array(6),
      threads: "inline",
      backend: "cpu",
    });
    await writer.append(rowBytes(writer, 0, 16));
    await writer.flush();
    const { durable } = writer.watermarks;
    expect(durable).toBe(12);
    await writer.abort();
    const { arrays } = await recoverStore(s3Sink(place));
    expect(arrays).toMatchObject([{ rowsBefore: durable, rowsAfter: durable, rowsLost: 0 }]);
    const resumed = await streamOn(
      { sink: s3Sink({ ...place, partBytes: 5 * MIB }), array: array(6), mode: "resume" },
      [appended(5)],
    );
    expect(resumed.watermarks.published).toBe(durable + 5);
    await using store = s3Store(place);
    expect(await verifyStore(store)).toMatchObject({ ok: true, defects: [], warnings: [] });
    await bucket.removeBelow(prefix);
  });
});
