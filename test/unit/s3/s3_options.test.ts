import { describe, expect, it } from "vitest";
import { isMillraceError } from "../../../src/base/errors.js";
import { checkS3Options, isS3Url, parseS3Url, type S3Options, s3Location } from "../../../src/s3/s3_options.js";
import { s3Sink } from "../../../src/sinks/s3_spec.js";

function refused(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    expect(isMillraceError(error, "INVALID_OPTION")).toBe(true);
    return error as Error;
  }
  return expect.unreachable() as never;
}

describe("S3 options", () => {
  it("have defaults", () => {
    expect(checkS3Options("s3Sink", { bucket: "b" })).toEqual({
      bucket: "b",
      prefix: "",
      region: undefined,
      endpoint: undefined,
      credentials: undefined,
      profile: undefined,
      forcePathStyle: undefined,
      checksum: "crc32",
      maxAttempts: 8,
      connectTimeoutMs: 5_000,
      idleTimeoutMs: 60_000,
    });
  });

  it("assume a region and paths for an endpoint of one's own", () => {
    const place = checkS3Options("s3Sink", { bucket: "b", endpoint: "http://127.0.0.1:9000" });
    expect(place).toMatchObject({ region: "us-east-1", forcePathStyle: true });
    expect(checkS3Options("s3Sink", { ...place, forcePathStyle: false })).toMatchObject({ forcePathStyle: false });
  });

  it.each([
    [null],
    [{}],
    [{ bucket: "" }],
    [{ bucket: "a/b" }],
    [{ bucket: "b", prefix: "/a" }],
    [{ bucket: "b", prefix: "a//b" }],
    [{ bucket: "b", prefix: "a/../b" }],
    [{ bucket: "b", prefix: "x".repeat(513) }],
    [{ bucket: "b", prefix: 7 }],
    [{ bucket: "b", region: "" }],
    [{ bucket: "b", endpoint: "minio:9000" }],
    [{ bucket: "b", endpoint: "ftp://x" }],
    [{ bucket: "b", checksum: "md5" }],
    [{ bucket: "b", maxAttempts: 0 }],
    [{ bucket: "b", idleTimeoutMs: 1.5 }],
    [{ bucket: "b", connectTimeoutMs: "5" }],
    [{ bucket: "b", forcePathStyle: "yes" }],
    [{ bucket: "b", credentials: { accessKeyId: "only" } }],
    [{ bucket: "b", credentials: async () => ({}) }],
    [{ bucket: "b", Prefix: "a" }],
    [{ bucket: "b", partBytes: 5 * 2 ** 20 - 1 }],
    [{ bucket: "b", partBytes: 6e6 + 0.5 }],
    [{ bucket: "b", concurrency: 0 }],
    [{ bucket: "b", concurrency: 257 }],
  ])("refuse %j", (options) => {
    refused(() => s3Sink(options as unknown as S3Options & { bucket: string }));
  });

  it("never shows what came for credentials", () => {
    const error = refused(() =>
      s3Sink({ bucket: "b", credentials: { accessKeyId: "AKIA", secretAccessKey: 7 as never } }),
    );
    expect(JSON.stringify(error) + error.message).not.toContain("AKIA");
  });

  it("take a slash behind the prefix", () => {
    expect(s3Location(checkS3Options("s3Sink", { bucket: "b", prefix: "runs/1.zarr/" }))).toBe("s3://b/runs/1.zarr");
  });

  it("plan memory from the size of the shards, and refuse a layout that cannot be", () => {
    const spec = s3Sink({ bucket: "b", concurrency: 4 });
    const [few, many] = [spec.memoryBytes(2, 2 ** 30), spec.memoryBytes(12, 2 ** 30)];
    expect(many - few).toBe(10 * 8 * 2 ** 20);
    expect(refused(() => s3Sink({ bucket: "b", partBytes: 5 * 2 ** 20 }).memoryBytes(1, 2 ** 40)).message).toContain(
      "10000",
    );
  });
});

describe("s3:// URLs", () => {
  it.each([
    ["s3://b", "b", ""],
    ["s3://b/", "b", ""],
    ["S3://b/a/run.zarr", "b", "a/run.zarr"],
    ["s3://b/a%20b/", "b", "a%20b"],
  ])("%s", (url, bucket, prefix) => {
    expect(isS3Url(url)).toBe(true);
    expect(parseS3Url(url)).toEqual({ bucket, prefix });
  });

  it.each(["s3:///a", "s3://", "s3://b//a", "http://b/a", "s3://b/../c"])("refuses %s", (url) => {
    refused(() => parseS3Url(url));
  });
});
