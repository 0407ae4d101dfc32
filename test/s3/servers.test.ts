import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocalServer } from "../../scripts/s3/servers.js";
import { coordinateBytes } from "../contract/sink.contract.js";
import { TestBucket } from "../helpers/s3_client.js";
import { S3Proxy } from "../helpers/s3_proxy.js";
import { randomPrefix, type S3Features, type S3Server, s3Servers, startS3Server } from "../helpers/s3_server.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

const MIB = 1 << 20;
const WRONG_CRC32 = "AAAAAA==";
const NO_ETAG = '"00000000000000000000000000000000"';

/**
 * The servers themselves, before anything is tested on them: what all of them do, and whether `features` tells the
 * truth.
 */
describe.each(s3Servers())("S3 server %s", (kind) => {
  const prefix = randomPrefix();
  let server: S3Server;
  let bucket: TestBucket;
  beforeAll(async () => {
    server = await startS3Server(kind);
    bucket = new TestBucket(server, { maxAttempts: 1 });
  });
  afterAll(async () => {
    await bucket?.removeBelow(prefix);
    bucket?.close();
    await server?.stop();
  });

  const at = (key: string) => ({ Bucket: server.bucket, Key: `${prefix}/${key}` });

  /** An upload of `sizes`, not completed. */
  async function upload(key: string, sizes: readonly number[], metadata?: Record<string, string>) {
    const created = await bucket.sdk.send(
      new CreateMultipartUploadCommand({ ...at(key), ChecksumAlgorithm: "CRC32", Metadata: metadata }),
    );
    const UploadId = created.UploadId!;
    const bytes: Uint8Array[] = [];
    const parts: CompletedPart[] = [];
    for (const [i, size] of sizes.entries()) {
      const Body = coordinateBytes(i, size);
      bytes.push(Body);
      const part = await bucket.sdk.send(
        new UploadPartCommand({ ...at(key), UploadId, PartNumber: i + 1, Body, ChecksumCRC32: crc32Of(Body) }),
      );
      parts.push({ PartNumber: i + 1, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 });
    }
    const complete = (IfNoneMatch?: string) =>
      bucket.sdk.send(
        new CompleteMultipartUploadCommand({ ...at(key), UploadId, MultipartUpload: { Parts: parts }, IfNoneMatch }),
      );
    return { UploadId, parts, complete, bytes: Buffer.concat(bytes) };
  }

  it("puts, gives back whole and in ranges, and removes", async () => {
    const bytes = coordinateBytes(1, 100_003);
    await bucket.put(`${prefix}/a/b`, bytes, { "millrace-write": "Ab-1" });
    await bucket.put(`${prefix}/a/empty`, new Uint8Array(0));
    expect(Buffer.compare((await bucket.get(`${prefix}/a/b`))!, bytes)).toBe(0);
    expect(await bucket.get(`${prefix}/a/b`, "bytes=7-4096")).toEqual(bytes.subarray(7, 4097));
    expect(await bucket.get(`${prefix}/a/b`, "bytes=100000-")).toEqual(bytes.subarray(100_000));
    expect(await bucket.head(`${prefix}/a/b`)).toMatchObject({
      byteLength: bytes.length,
      metadata: { "millrace-write": "Ab-1" },
    });
    expect(await bucket.get(`${prefix}/a/empty`)).toEqual(new Uint8Array(0));
    expect(await bucket.keys(`${prefix}/a/`)).toEqual([`${prefix}/a/b`, `${prefix}/a/empty`]);
    await bucket.removeBelow(`${prefix}/a/`);
    expect(await bucket.keys(`${prefix}/a/`)).toEqual([]);
    expect(await bucket.get(`${prefix}/a/b`)).toBeUndefined();
    expect(await bucket.head(`${prefix}/a/b`)).toBeUndefined();
  });

  it("lists page by page", async () => {
    const keys = Array.from({ length: 25 }, (_, i) => `${prefix}/pages/${i % 3}/${i}`).sort();
    for (const key of keys) await bucket.put(key, coordinateBytes(1, 10));
    const listed: string[] = [];
    let token: string | undefined;
    do {
      const page = await bucket.sdk.send(
        new ListObjectsV2Command({
          Bucket: server.bucket,
          Prefix: `${prefix}/pages/`,
          MaxKeys: 10,
          ContinuationToken: token,
        }),
      );
      listed.push(...page.Contents!.map((object) => object.Key!));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    expect(listed.sort()).toEqual(keys);
    await bucket.removeBelow(`${prefix}/pages/`);
    expect(await bucket.keys(`${prefix}/pages/`)).toEqual([]);
  });

  it("makes an object of parts, once they are completed", async () => {
    const { complete, bytes } = await upload("parts", [5 * MIB, 5 * MIB, 1003], { "millrace-write": "w" });
    expect(await bucket.head(`${prefix}/parts`)).toBeUndefined();
    await complete();
    expect(Buffer.compare((await bucket.get(`${prefix}/parts`))!, bytes)).toBe(0);
    expect((await bucket.head(`${prefix}/parts`))!.metadata).toEqual({ "millrace-write": "w" });
    // The server may know that it was this same upload, or know it no more.
    const again = await complete().catch((error) => error.name);
    if (typeof again === "string") expect(again).toBe("NoSuchUpload");
    expect(Buffer.compare((await bucket.get(`${prefix}/parts`))!, bytes)).toBe(0);
  });

  it("refuses a part of an upload that never was, and a part that never came", async () => {
    const UploadId = (await upload("gone", [])).UploadId.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const Body = coordinateBytes(1, 10);
    const part = bucket.sdk.send(new UploadPartCommand({ ...at("gone"), UploadId, PartNumber: 1, Body }));
    await expect(part).rejects.toMatchObject({ name: "NoSuchUpload" });
    const { parts, complete } = await upload("hole", [5 * MIB]);
    parts.push({ ...parts[0], PartNumber: 7 });
    await expect(complete()).rejects.toMatchObject({ name: "InvalidPart" });
    expect(await bucket.head(`${prefix}/hole`)).toBeUndefined();
  });

  it("deletes side by side, and while others put and list", async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `${prefix}/crowd/${i % 4}/${i}`);
    for (let round = 0; round < 3; round++) {
      const [first, second] = [keys.slice(0, 30), keys.slice(30)];
      await Promise.all(first.map((key) => bucket.put(key, coordinateBytes(round, 100))));
      await Promise.all([
        bucket.removeBelow(`${prefix}/crowd/0`),
        bucket.removeBelow(`${prefix}/crowd/1`),
        ...second.map((key) => bucket.put(key, coordinateBytes(round, 100))),
        ...[1, 2, 3].map(() => bucket.keys(`${prefix}/crowd/`)),
      ]);
      await bucket.removeBelow(`${prefix}/crowd/`);
      expect(await bucket.keys(`${prefix}/crowd/`)).toEqual([]);
    }
  });

  it("takes what comes through a fault proxy, signatures and all, and refuses what was turned on the way", async () => {
    const proxy = await S3Proxy.start(server.endpoint);
    const client = new TestBucket({ ...server, endpoint: proxy.endpoint }, { maxAttempts: 1 });
    const keys = ["1", "2", "3", "4"].map((name) => `${prefix}/proxy/ü &=+${name}`);
    const bytes = keys.map((_, i) => coordinateBytes(i, 3 * MIB + i));
    await Promise.all(keys.map((key, i) => client.put(key, bytes[i], { w: String(i) })));
    for (const [i, key] of keys.entries()) {
      expect(Buffer.compare((await client.get(key))!, bytes[i])).toBe(0);
      expect((await client.head(key))!.metadata).toEqual({ w: String(i) });
    }
    expect((await client.keys(`${prefix}/proxy/`)).length).toBe(4);
    expect(new Set(proxy.log.map((entry) => entry.operation)).size).toBe(4);
    proxy.setPlan(({ operation }) => (operation === "PutObject" ? "corrupt" : undefined));
    const Body = coordinateBytes(9, 1000);
    const put = new PutObjectCommand({ ...at("turned"), Body, ChecksumCRC32: crc32Of(Body) });
    const landed = await client.sdk.send(put).then(
      () => true,
      () => false,
    );
    expect(landed).toBe(!server.features.checksumRefused);
    expect((await bucket.head(`${prefix}/turned`)) !== undefined).toBe(landed);
    client.close();
    await proxy.stop();
  });

  /** Each finds out whether the server does it. */
  const probes: Record<keyof S3Features, () => Promise<boolean>> = {
    signatures: async () => {
      const stranger = new TestBucket(
        { ...server, credentials: { ...server.credentials, secretAccessKey: "another" } },
        { maxAttempts: 1 },
      );
      const refused = await failsWith(stranger.keys(prefix), "SignatureDoesNotMatch");
      stranger.close();
      return refused;
    },
    unknownKeyId: async () => {
      const stranger = new TestBucket(
        { ...server, credentials: { accessKeyId: "AKIANOBODY", secretAccessKey: "x" } },
        { maxAttempts: 1 },
      );
      // Any server refuses it; some have a name of their own for that.
      const answer = await stranger.keys(prefix).catch((error) => error.name);
      stranger.close();
      expect(answer).toBeTypeOf("string");
      return answer === "InvalidAccessKeyId";
    },
    ifNoneMatch: async () => {
      const Body = coordinateBytes(1, 100);
      await bucket.sdk.send(new PutObjectCommand({ ...at("once"), Body, IfNoneMatch: "*" }));
      const again = new PutObjectCommand({ ...at("once"), Body: coordinateBytes(2, 100), IfNoneMatch: "*" });
      const put = await failsWith(bucket.sdk.send(again), "PreconditionFailed");
      const { complete } = await upload("once", [100]);
      const completed = await failsWith(complete("*"), "PreconditionFailed");
      expect(completed).toBe(put);
      if (put) expect(await bucket.get(`${prefix}/once`)).toEqual(Body);
      await (await upload("first", [100])).complete("*");
      return put;
    },
    checksumRefused: async () => {
      const Body = coordinateBytes(1, 100);
      await bucket.sdk.send(new PutObjectCommand({ ...at("sum"), Body, ChecksumCRC32: crc32Of(Body) }));
      const wrong = new PutObjectCommand({ ...at("wrong"), Body, ChecksumCRC32: WRONG_CRC32 });
      const put = await failsWith(bucket.sdk.send(wrong), "BadDigest");
      expect((await bucket.head(`${prefix}/wrong`)) === undefined).toBe(put);
      const { UploadId } = await upload("wrong", []);
      const wrongPart = { ...at("wrong"), UploadId, PartNumber: 1, Body, ChecksumCRC32: WRONG_CRC32 };
      expect(await failsWith(bucket.sdk.send(new UploadPartCommand(wrongPart)), "BadDigest")).toBe(put);
      return put;
    },
    checksumKept: async () => {
      const Body = coordinateBytes(1, 100);
      await bucket.sdk.send(new PutObjectCommand({ ...at("sum"), Body, ChecksumCRC32: crc32Of(Body) }));
      const answer = await bucket.sdk.send(new GetObjectCommand({ ...at("sum"), ChecksumMode: "ENABLED" }));
      await answer.Body!.transformToByteArray();
      return answer.ChecksumCRC32 === crc32Of(Body);
    },
    abortUpload: async () => {
      const { UploadId, complete } = await upload("abort", [100]);
      const abort = new AbortMultipartUploadCommand({ ...at("abort"), UploadId });
      if (await failsWith(bucket.sdk.send(abort), "MethodNotAllowed")) return false;
      await expect(complete()).rejects.toMatchObject({ name: "NoSuchUpload" });
      return true;
    },
    listUploads: async () => {
      const { UploadId } = await upload("listed", [100]);
      const all = new TestBucket({ ...server, features: undefined }, { maxAttempts: 1 });
      const answer = await all.uploads(`${prefix}/listed`).catch((error) => error.name);
      all.close();
      if (answer === "NotImplemented") return false;
      expect(answer).toEqual([{ key: `${prefix}/listed`, uploadId: UploadId }]);
      await bucket.removeBelow(`${prefix}/listed`);
      expect(await bucket.uploads(`${prefix}/listed`)).toEqual([]);
      return true;
    },
    listParts: async () => {
      const { UploadId } = await upload("two", [5 * MIB, 100]);
      const answer = bucket.sdk.send(new ListPartsCommand({ ...at("two"), UploadId }));
      if (await failsWith(answer, "MethodNotAllowed")) return false;
      expect((await answer).Parts!.map((part) => [part.PartNumber, part.Size])).toEqual([
        [1, 5 * MIB],
        [2, 100],
      ]);
      return true;
    },
    partMinimum: async () => failsWith((await upload("small", [1000, 1000])).complete(), "EntityTooSmall"),
    partsCompared: async () => {
      const { parts, complete } = await upload("etag", [100]);
      parts[0].ETag = NO_ETAG;
      return await failsWith(complete(), "InvalidPart");
    },
    suffixRange: async () => {
      const bytes = coordinateBytes(1, 1000);
      await bucket.put(`${prefix}/suffix`, bytes);
      const last = await bucket.get(`${prefix}/suffix`, "bytes=-20");
      return Buffer.compare(last!, bytes.subarray(980)) === 0;
    },
    firstByteRange: async () => {
      await bucket.put(`${prefix}/first`, coordinateBytes(1, 1000));
      return (await bucket.get(`${prefix}/first`, "bytes=0-0"))!.length === 1;
    },
    orderedListing: async () => {
      const keys = ["c-x", "c.x", "c/0", "c0"].map((key) => `${prefix}/order/${key}`);
      for (const key of keys) await bucket.put(key, coordinateBytes(1, 10));
      const command = new ListObjectsV2Command({ Bucket: server.bucket, Prefix: `${prefix}/order/` });
      const listed = (await bucket.sdk.send(command)).Contents!.map((object) => object.Key!);
      expect([...listed].sort()).toEqual(keys);
      return listed.every((key, i) => key === keys[i]);
    },
    anyKey: async () => {
      const key = `${prefix}/signs/ ü+&=?#%2F'(x)!*~.z`;
      await bucket.put(key, coordinateBytes(1, 10));
      expect(await bucket.get(key)).toEqual(coordinateBytes(1, 10));
      return (await bucket.keys(`${prefix}/signs/`))[0] === key;
    },
    keyBelowKey: async () => {
      await bucket.put(`${prefix}/below`, coordinateBytes(1, 10));
      const error = await bucket.put(`${prefix}/below/it`, coordinateBytes(2, 10)).catch((error) => error);
      return error === undefined && (await bucket.get(`${prefix}/below`)) !== undefined;
    },
    wholePuts: async () => {
      const versions = Array.from({ length: 12 }, (_, i) => new Uint8Array(200_000 - i * 9_000).fill(i + 1));
      const key = `${prefix}/whole`;
      await bucket.put(key, versions[0]);
      let writing = true;
      const reader = (async () => {
        let torn = 0;
        while (writing) {
          const seen = await bucket.get(key);
          if (seen?.length !== versions[seen![0] - 1].length || seen.some((byte) => byte !== seen[0])) torn++;
        }
        return torn;
      })();
      for (let round = 0; round < 3; round++) for (const version of versions) await bucket.put(key, version);
      writing = false;
      const torn = await reader;
      // Where nothing promises whole objects, chance may still give them.
      return server.features.wholePuts ? torn === 0 : false;
    },
  };

  it.each(Object.keys(probes) as (keyof S3Features)[])("features tells the truth about %s", async (name) => {
    expect(await probes[name]()).toBe(server.features[name]);
  });
});

describe("a server of one's own", () => {
  it("ends for good, and may be told so twice", async () => {
    const server = await startS3Server("s3rver");
    const bucket = new TestBucket(server, { maxAttempts: 1 });
    await bucket.put("x", coordinateBytes(1, 10));
    await server.stop();
    await server.stop();
    await expect(bucket.get("x")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    bucket.close();
  });

  it("that does not start says why", async () => {
    const server = await startS3Server("s3rver");
    const port = Number(new URL(server.endpoint).port);
    await expect(startLocalServer("s3rver", { port })).rejects.toThrow(/s3rver did not start: .*EADDRINUSE/s);
    await server.stop();
    const binary = "/not/there";
    await expect(startLocalServer("versitygw", { binary })).rejects.toThrow(/versitygw did not start: .*ENOENT/s);
  });

  it("keeps what is in a folder that it is given", async () => {
    const folder = await makeTempFolder();
    for (const round of [1, 2]) {
      const server = await startLocalServer("s3rver", { folder });
      const bucket = new TestBucket(server, { maxAttempts: 1 });
      if (round === 1) await bucket.put("x", coordinateBytes(1, 10));
      else expect(await bucket.get("x")).toEqual(coordinateBytes(1, 10));
      bucket.close();
      await server.stop();
    }
    await removeFolder(folder);
  });

  it.each(s3Servers().filter((kind) => kind !== "endpoint"))("ends when who started it is killed: %s", async (kind) => {
    const module = new URL("../../scripts/s3/servers.js", import.meta.url).href;
    const script = `
      const { startLocalServer } = await import(${JSON.stringify(module)});
      console.log((await startLocalServer(${JSON.stringify(kind)})).endpoint);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(parent.stdout, "data");
    const endpoint = String(line).trim();
    expect((await fetch(endpoint)).status).toBeGreaterThan(0);
    parent.kill("SIGKILL");
    while (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      await sleep(20);
  });
});

function crc32Of(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString("base64");
}

/** Whether it rejects with an error of that name; any other rejection is one that nobody expects. */
async function failsWith(promise: Promise<unknown>, name: string): Promise<boolean> {
  try {
    await promise;
    return false;
  } catch (error) {
    if ((error as Error).name === name) return true;
    throw error;
  }
}
