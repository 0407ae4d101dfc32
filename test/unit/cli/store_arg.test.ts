import { resolve } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { s3Finding } from "../../../src/cli/s3_findings.js";
import {
  addS3WriteFlags,
  parseS3Store,
  parseStore,
  repeatFlags,
  type S3WriteFlags,
  sinkOf,
  targetOf,
} from "../../../src/cli/store_arg.js";
import { S3Store } from "../../../src/store/s3_store.js";

const flagsOf = (...args: string[]): S3WriteFlags =>
  addS3WriteFlags(new Command()).parse(args, { from: "user" }).opts() as S3WriteFlags;

describe("a STORE argument", () => {
  it("is a folder, or a place on S3 with its flags", () => {
    expect(sinkOf("a/run.zarr", {})).toMatchObject({ kind: "file", location: resolve("a/run.zarr") });
    const flags = flagsOf(
      ...["--endpoint", "http://127.0.0.1:9000", "--region", "r", "--profile", "p"],
      ...["--part-bytes", "16MiB", "--concurrency", "3", "--checksum", "none"],
    );
    expect(sinkOf("s3://bucket/a/run.zarr/", flags)).toMatchObject({
      kind: "s3",
      location: "s3://bucket/a/run.zarr",
      options: {
        partBytes: 16 * 2 ** 20,
        concurrency: 3,
        place: {
          bucket: "bucket",
          prefix: "a/run.zarr",
          endpoint: "http://127.0.0.1:9000",
          region: "r",
          profile: "p",
          checksum: "none",
        },
      },
    });
  });

  it("is opened for reading, and closed", async () => {
    const folder = targetOf("a/run.zarr", {});
    expect(folder.target).toBe("a/run.zarr");
    await folder[Symbol.asyncDispose]();
    const opened = targetOf("s3://bucket/run.zarr", flagsOf("--region", "r"));
    expect(opened.target).toBeInstanceOf(S3Store);
    expect(opened.target).toMatchObject({ location: "s3://bucket/run.zarr" });
    await opened[Symbol.asyncDispose]();
  });

  it.each([
    ["--endpoint", "http://127.0.0.1:9000"],
    ["--region", "r"],
    ["--profile", "p"],
    ["--part-bytes", "8MiB"],
    ["--concurrency", "3"],
    ["--checksum", "crc32"],
  ])("that is a folder does not go with %s", (flag, value) => {
    const refusal = expect.objectContaining({
      code: "INVALID_OPTION",
      message: `${flag} is for stores on s3://; run.zarr is a folder.`,
      context: { option: flag.slice(2) },
    });
    expect(() => sinkOf("run.zarr", flagsOf(flag, value))).toThrow(refusal);
    expect(() => targetOf("run.zarr", flagsOf(flag, value))).toThrow(refusal);
  });

  it.each(["s3://", "s3:///a", "s3://bucket/a//b", "s3://bucket/../a"])("is refused as %s", (text) => {
    expect(() => parseStore(text)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
    expect(() => parseS3Store(text)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });

  it("is no URL where it does not begin with s3://", () => {
    expect(parseStore("s3/bucket")).toBe("s3/bucket");
    expect(() => parseS3Store("s3/bucket")).toThrow(/s3:\/\/bucket\/prefix/);
  });

  it("has its flags repeated as they were given", () => {
    expect(repeatFlags(flagsOf("--region", "r", "--endpoint", "http://h", "--concurrency", "3"))).toBe(
      " --endpoint http://h --region r",
    );
    expect(repeatFlags({})).toBe("");
  });
});

describe("s3Finding", () => {
  it("says what is installed and what the environment names, and no value", () => {
    const env = { AWS_ACCESS_KEY_ID: "value", AWS_PROFILE: "value", OTHER: "value" };
    const found = s3Finding("3.1.0", env);
    expect(found).toMatchObject({ name: "S3", state: "ok", detail: expect.stringContaining("AWS_PROFILE") });
    expect(found.detail).toContain("3.1.0");
    expect(JSON.stringify(found)).not.toContain("value");
    expect(s3Finding(undefined, {})).toMatchObject({
      state: "absent",
      detail: "client not installed; no credentials in the environment",
      fix: "npm install @aws-sdk/client-s3",
    });
  });
});
