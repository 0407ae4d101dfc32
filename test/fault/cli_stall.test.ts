import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lastJson, startCli } from "../cli/run_cli.js";
import type { TestBucket } from "../helpers/s3_client.js";
import { S3Proxy } from "../helpers/s3_proxy.js";
import { randomPrefix, type S3Server } from "../helpers/s3_server.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { withS3Server } from "../helpers/with_s3_server.js";

/**
 * The command line while its sink does not answer: it says so, and Ctrl-C ends it. The sink is a server that takes
 * shards and never says that it has them.
 */
const ROW_BYTES = 6 * 10 * 2;
const ARGS = ["--dtype", "uint16", "--dims", "t:0:2:4,y:6:3:6,x:10:4:8", "--codec", "none", "--backend", "cpu"];
const values = Uint16Array.from({ length: (64 * ROW_BYTES) / 2 }, (_, i) => i);
const bytes = new Uint8Array(values.buffer);

// Side by side: each waits some seconds, until a stream counts as standing still.
describe.concurrent("a sink that does not answer", () => {
  let server: S3Server;
  let bucket: TestBucket;
  let proxy: S3Proxy;
  withS3Server("s3rver", (started, opened) => {
    server = started;
    bucket = opened;
  });
  beforeAll(async () => {
    proxy = await S3Proxy.start(server.endpoint, ({ key }) => (key.includes("/c/") ? "dropAnswer" : undefined));
  });
  afterAll(() => proxy?.stop());

  function start(progress: string) {
    const { accessKeyId, secretAccessKey } = server.credentials;
    const prefix = randomPrefix();
    const place = [`s3://${server.bucket}/${prefix}`, "--endpoint", proxy.endpoint, "--region", server.region];
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: undefined,
      AWS_PROFILE: undefined,
      AWS_EC2_METADATA_DISABLED: "true",
    };
    return { prefix, ...startCli(["write", ...place, ...ARGS, "--progress", progress, "--json"], { env }) };
  }

  it("is named in the lines of --progress json; a second Ctrl-C ends the command, not what was published", async () => {
    const { child, saw, result, prefix } = start("json");
    child.stdin?.end(bytes);
    await saw('"waitingFor":"the sink"');
    child.kill("SIGINT");
    await saw("closing the store");
    child.kill("SIGINT");
    const ended = await result;
    expect(ended).toMatchObject({ code: 130, stderr: expect.stringContaining("WRITER_ABORTED") });
    expect(lastJson(ended)).toMatchObject({ error: { code: "WRITER_ABORTED" } });
    const stalls = ended.stderr
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line).stall);
    expect(stalls[0]).toBe(null);
    expect(stalls).toContainEqual({
      seconds: expect.any(Number),
      waitingFor: "the sink",
      owner: "delivery",
      rule: expect.stringMatching(/^(OUTPUT_RELEASED|PUBLISH_AFTER_DURABLE)$/),
    });
    const { shape } = JSON.parse(Buffer.from((await bucket.get(`${prefix}/zarr.json`)) as Uint8Array).toString());
    expect(shape).toEqual([0, 6, 10]);
  });

  it("is named once where stderr is a log; SIGTERM twice ends the command as Ctrl-C does", async () => {
    const { child, saw, result } = start("auto");
    child.stdin?.end(bytes);
    // However many seconds it is by the time that the command looks.
    await saw(/stands still for \d+ s: waiting for the sink/);
    child.kill("SIGTERM");
    await saw("closing the store");
    child.kill("SIGTERM");
    expect(await result).toMatchObject({ code: 130, stderr: expect.stringContaining("aborting") });
  });
});

describe("on files", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await makeTempFolder();
  });
  afterAll(() => removeFolder(folder));

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s while input is awaited closes the store", async (signal) => {
    const store = join(folder, `${signal}.zarr`);
    const args = ["write", store, ...ARGS, "--append-bytes", "8", "--progress", "json", "--json"];
    const { child, saw, result } = startCli(args);
    child.stdin?.write(bytes.subarray(0, 5 * ROW_BYTES));
    await saw('"rows":5');
    child.kill(signal);
    const ended = await result;
    expect(ended.code).toBe(130);
    expect(lastJson(ended)).toMatchObject({ rows: 5 });
  });

  it("input that stays away is named as what is waited for, and is no stall of the stream", async () => {
    const store = join(folder, "input.zarr");
    const { child, saw, result } = startCli(["write", store, ...ARGS, "--progress", "json", "--json"]);
    child.stdin?.write(bytes.subarray(0, ROW_BYTES));
    await saw('"waitingFor":"input"');
    child.stdin?.end();
    const ended = await result;
    expect(ended.code).toBe(0);
  });
});
