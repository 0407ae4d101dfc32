import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openArray, s3Store } from "../../src/index.js";
import { PATIENCE_MS } from "../helpers/patience.js";
import { TestBucket } from "../helpers/s3_client.js";
import { randomPrefix, type S3Server, s3Servers, startS3Server } from "../helpers/s3_server.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { type CliResult, lastJson, root, runCli, startCli } from "./run_cli.js";

const ROWS = 11;
const HEIGHT = 6;
const WIDTH = 10;
const ROW_BYTES = HEIGHT * WIDTH * 2;
const DIMS = `t:0:2:4,y:${HEIGHT}:3:6,x:${WIDTH}:4:8`;
const ARGS = ["--dtype", "uint16", "--dims", DIMS, "--codec", "none", "--backend", "cpu"];

/** Every element is its own index in the stream. */
const values = Uint16Array.from({ length: ROWS * HEIGHT * WIDTH }, (_, i) => i);
const bytes = new Uint8Array(values.buffer);

interface Finding {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly fix?: string;
  readonly code?: string;
}

/** Nothing of whoever runs the tests: no profile, no credentials, no instance to ask for some. */
const NOBODY: NodeJS.ProcessEnv = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_SESSION_TOKEN: undefined,
  AWS_PROFILE: undefined,
  AWS_REGION: undefined,
  AWS_DEFAULT_REGION: undefined,
  AWS_ENDPOINT_URL: undefined,
  AWS_ENDPOINT_URL_S3: undefined,
  AWS_CONFIG_FILE: "/nonexistent",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  AWS_EC2_METADATA_DISABLED: "true",
};
const NO_CLIENT = { NODE_OPTIONS: `--import=${new URL("../helpers/no_s3_client.js", import.meta.url).href}` };

/** An endpoint where nobody listens. */
async function closedEndpoint(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

describe.each(s3Servers())("the command line on %s", (kind) => {
  let server: S3Server;
  let bucket: TestBucket;
  let env: NodeJS.ProcessEnv;
  let flags: string[];
  const prefixes: string[] = [];
  beforeAll(async () => {
    server = await startS3Server(kind);
    bucket = new TestBucket(server);
    const { accessKeyId, secretAccessKey, sessionToken } = server.credentials;
    const credentials = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    env = { ...NOBODY, ...credentials, AWS_SESSION_TOKEN: sessionToken };
    flags = ["--endpoint", server.endpoint, "--region", server.region];
  });
  afterAll(async () => {
    for (const prefix of prefixes) await bucket.removeBelow(prefix);
    bucket.close();
    await server.stop();
  });

  /** A new place, and its URL. */
  const newStore = () => {
    const prefix = randomPrefix();
    prefixes.push(prefix);
    return { prefix, url: `s3://${server.bucket}/${prefix}` };
  };
  const write = (url: string, ...more: string[]) =>
    runCli(["write", url, ...ARGS, ...flags, "--json", ...more], { env, input: bytes });
  const readAll = async (prefix: string): Promise<number[]> => {
    const { bucket, endpoint, region, credentials } = server;
    await using store = s3Store({ bucket, prefix, endpoint, region, credentials });
    const { data } = await (await openArray(store)).readRegion();
    return [...new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)];
  };
  const doctor = async (url: string, more: readonly string[], env: NodeJS.ProcessEnv) => {
    const result = await runCli(["doctor", "--s3", url, ...more, "--json"], { env });
    const { findings } = lastJson(result) as { findings: Finding[] };
    return { result, s3: findings.filter(({ name }) => name.startsWith("S3")) };
  };

  it("writes, verifies, inspects and reads a store", async () => {
    const { prefix, url } = newStore();
    const written = await write(url, "--progress", "json", "--concurrency", "2", "--part-bytes", "5MiB");
    expect(written.code, written.stderr).toBe(0);
    expect(lastJson(written)).toMatchObject({ rows: ROWS, bytesIn: bytes.byteLength, backend: "cpu" });
    const lines = written.stderr.trimEnd().split("\n");
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty("watermarks.published");
    expect(await readAll(prefix)).toEqual([...values]);

    const verified = await runCli(["verify", url, ...flags, "--json"], { env });
    expect(verified).toMatchObject({ code: 0, stderr: "" });
    expect(lastJson(verified)).toMatchObject({ ok: true, location: url, defects: [], warnings: [] });
    const people = await runCli(["verify", url, ...flags], { env });
    expect(people.stdout).toMatch(/\nok\n$/);

    const inspected = await runCli(["inspect", url, ...flags, "--json"], { env });
    expect(inspected).toMatchObject({ code: 0, stderr: "" });
    expect(lastJson(inspected)).toMatchObject({
      location: url,
      arrays: [{ dtype: "uint16", dimensions: [{ name: "t", size: ROWS, chunk: 2, shard: 4 }, {}, {}] }],
    });
  });

  it("refuses a store that is there, and overwrites it when told to", async () => {
    const { prefix, url } = newStore();
    expect((await write(url)).code).toBe(0);
    const refused = await write(url);
    expect(refused.code).toBe(1);
    expect(lastJson(refused)).toMatchObject({ error: { code: "STORE_EXISTS" } });
    const again = await runCli(["write", url, ...ARGS, ...flags, "--mode", "overwrite"], {
      env,
      input: bytes.subarray(0, ROW_BYTES),
    });
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining(url) });
    expect(await readAll(prefix)).toEqual([...values.subarray(0, HEIGHT * WIDTH)]);
  });

  it("closes a store in a bucket on Ctrl-C", async () => {
    const { prefix, url } = newStore();
    const args = ["write", url, ...ARGS, ...flags, "--append-bytes", "8", "--progress", "json"];
    const { child, saw, result } = startCli(args, { env });
    child.stdin?.write(bytes.subarray(0, 3 * ROW_BYTES));
    await saw('"rows":3');
    child.kill("SIGINT");
    expect((await result).code).toBe(130);
    expect(await readAll(prefix)).toEqual([...values.subarray(0, 3 * HEIGHT * WIDTH)]);
    expect(await bucket.keys(`${prefix}/.millrace`)).toEqual([]);
  });

  it("runs the demo there, and replaces only a store of its own", async () => {
    const { url } = newStore();
    const small = ["--size", "64", "--codec", "none", "--backend", "cpu", ...flags];
    const first = await runCli(["demo", url, "--frames", "20", ...small, "--json"], { env });
    expect(first.code, first.stderr).toBe(0);
    expect(lastJson(first)).toMatchObject({ store: url, rows: 20, checked: { values: 20 * 64 * 64, wrong: 0 } });
    const second = await runCli(["demo", url, "--frames", "2", ...small], { env });
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining(`inspect ${url} --endpoint`) });
    const other = newStore();
    expect((await write(other.url)).code).toBe(0);
    const refused = await runCli(["demo", other.url, ...small], { env });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("STORE_EXISTS") });
  });

  it("finds a shard that was damaged, and says where", async () => {
    const { prefix, url } = newStore();
    expect((await write(url)).code).toBe(0);
    const key = `${prefix}/c/1/0/0`;
    const shard = Buffer.from((await bucket.get(key))!);
    shard[shard.length - 8] ^= 0xff;
    await bucket.put(key, shard);
    const { code, stdout } = await runCli(["verify", url, ...flags], { env });
    expect([code, stdout]).toEqual([1, expect.stringContaining("bad: INDEX_CHECKSUM c/1/0/0")]);
  });

  it("takes endpoint and region from the environment, and keys from a profile", async () => {
    const { url } = newStore();
    expect((await write(url)).code).toBe(0);
    const surroundings = { ...env, AWS_ENDPOINT_URL_S3: server.endpoint, AWS_REGION: server.region };
    expect((await runCli(["verify", url], { env: surroundings })).code).toBe(0);

    const folder = await makeTempFolder();
    try {
      const { accessKeyId, secretAccessKey, sessionToken } = server.credentials;
      const lines = [`aws_access_key_id=${accessKeyId}`, `aws_secret_access_key=${secretAccessKey}`];
      if (sessionToken !== undefined) lines.push(`aws_session_token=${sessionToken}`);
      const file = join(folder, "credentials");
      await writeFile(file, ["[scope]", ...lines, ""].join("\n"));
      const withFile = { ...NOBODY, AWS_SHARED_CREDENTIALS_FILE: file };
      const more = [...flags, "--profile", "scope"];
      expect((await runCli(["inspect", url, ...more], { env: withFile })).code).toBe(0);
      const { s3 } = await doctor(url, more, withFile);
      expect(s3[1]).toMatchObject({ name: "S3 credentials", state: "ok", detail: "from a profile" });
      expect(JSON.stringify(s3)).not.toContain(secretAccessKey);
    } finally {
      await removeFolder(folder);
    }
  });

  it("says what is wrong with bucket, place, keys and endpoint", async () => {
    const { url } = newStore();
    const expectError = ({ code, stderr, stdout }: CliResult, errorCode: string, exitCode = 1) => {
      expect(stderr).toMatch(new RegExp(`^millrace: ${errorCode}: .+\n$`));
      expect([code, stdout]).toEqual([exitCode, ""]);
    };
    const run = async (command: string, store: string, more: readonly string[], vars = env) =>
      await runCli([command, store, ...(command === "write" ? ARGS : []), ...more], { env: vars, input: bytes });
    const other = { ...env, AWS_ACCESS_KEY_ID: "AKIANOBODY", AWS_SECRET_ACCESS_KEY: "wrong" };
    const forged = { ...env, AWS_SECRET_ACCESS_KEY: "wrong" };
    const closed = ["--endpoint", await closedEndpoint()];
    for (const command of ["write", "verify", "inspect"]) {
      expectError(await run(command, "s3://millrace-no-such-bucket/a.zarr", flags), "S3_NO_BUCKET");
      expectError(await run(command, url, flags, NOBODY), "S3_CREDENTIALS");
      if (server.features.unknownKeyId) expectError(await run(command, url, flags, other), "S3_CREDENTIALS");
    }
    if (server.features.signatures) expectError(await run("inspect", url, flags, forged), "S3_CREDENTIALS");
    expectError(await run("inspect", url, closed), "S3_UNREACHABLE");
    expectError(await run("verify", url, flags), "STORE_NOT_FOUND");
    expectError(await run("verify", url, []), "INVALID_OPTION", 2);
    for (const command of ["write", "verify"]) {
      expectError(await run(command, url, flags, { ...env, ...NO_CLIENT }), "S3_CLIENT_MISSING", 2);
    }
  });

  it("leaves the process free to end with connections that are open", async () => {
    const { url } = newStore();
    expect((await write(url)).code).toBe(0);
    const index = pathToFileURL(join(root, "dist", "index.js")).href;
    const script = `
      import { openArray, s3Store, verifyStore } from ${JSON.stringify(index)};
      const [url, bucket, prefix] = ${JSON.stringify([url, server.bucket, url.slice(`s3://${server.bucket}/`.length)])};
      const array = await openArray(url);
      const report = await verifyStore(s3Store({ bucket, prefix }));
      console.log(report.ok, (await array.readRegion()).data.length);
    `;
    const surroundings = { ...process.env, ...env, AWS_ENDPOINT_URL_S3: server.endpoint, AWS_REGION: server.region };
    const args = ["--input-type=module", "--eval", script];
    const child = spawn(process.execPath, args, { env: surroundings, timeout: PATIENCE_MS });
    let said = "";
    child.stdout.on("data", (part) => {
      said += part;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, said]).toEqual([0, `true ${bytes.byteLength}\n`]);
  });

  it("is tried out by doctor, which leaves nothing", async () => {
    const { prefix, url } = newStore();
    const { result, s3 } = await doctor(url, flags, env);
    const { checksumRefused, ifNoneMatch, listUploads, abortUpload } = server.features;
    const state = (has: boolean) => (has ? "ok" : "absent");
    expect(s3.map(({ name, state }) => [name, state])).toEqual([
      ["S3 client", "ok"],
      ["S3 credentials", "ok"],
      ["S3 bucket", "ok"],
      ["S3 list", "ok"],
      ["S3 put", "ok"],
      ["S3 checksum", state(checksumRefused)],
      ["S3 condition", state(ifNoneMatch)],
      ["S3 multipart", "ok"],
      ["S3 unfinished", state(listUploads && abortUpload)],
      ["S3 get", "ok"],
      ["S3 range", "ok"],
      ["S3 delete", "ok"],
    ]);
    expect(s3[1].detail).toBe("from the environment");
    expect(s3[2].detail).toBe(`${url} at ${server.endpoint} is there`);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).not.toContain(server.credentials.secretAccessKey);
    expect(await bucket.keys(prefix)).toEqual([]);
    if (abortUpload) expect((await bucket.uploads(prefix)) ?? []).toEqual([]);

    const people = await runCli(["doctor", "--s3", url, ...flags, "--checksum", "none"], { env });
    expect(people.stdout).toMatch(/^ok +S3 put +an object of 4096 bytes without a checksum$/m);
    expect(people.stdout).not.toContain("S3 checksum");
  });

  it("is given up by doctor at the first step that fails", async () => {
    const { url } = newStore();
    const cases: [string, readonly string[], NodeJS.ProcessEnv, Partial<Finding>][] = [
      ["s3://millrace-no-such-bucket/a", flags, env, { name: "S3 bucket", code: "S3_NO_BUCKET" }],
      [url, ["--endpoint", await closedEndpoint()], env, { name: "S3 bucket", code: "S3_UNREACHABLE" }],
      [url, flags, NOBODY, { name: "S3 credentials", code: "S3_CREDENTIALS" }],
      [url, flags, { ...env, ...NO_CLIENT }, { name: "S3 client", code: "S3_CLIENT_MISSING" }],
      [url, [], env, { name: "S3 bucket", code: "INVALID_OPTION" }],
    ];
    if (server.features.unknownKeyId) {
      const other = { ...env, AWS_ACCESS_KEY_ID: "AKIANOBODY" };
      cases.push([url, flags, other, { name: "S3 bucket", code: "S3_CREDENTIALS" }]);
    }
    if (server.features.signatures) {
      const forged = { ...env, AWS_SECRET_ACCESS_KEY: "wrong" };
      cases.push([url, flags, forged, { name: "S3 bucket", code: "S3_CREDENTIALS" }]);
    }
    for (const [url, flags, env, expected] of cases) {
      const { result, s3 } = await doctor(url, flags, env);
      expect(s3.at(-1)).toMatchObject({ ...expected, state: "bad", fix: expect.any(String) });
      expect(s3.slice(0, -1).filter(({ state }) => state !== "ok")).toEqual([]);
      expect(result).toMatchObject({ code: 1, stderr: "" });
    }
  });
});

it("doctor says how to install the client", async () => {
  const { stdout, code } = await runCli(["doctor"], { env: { ...NOBODY, ...NO_CLIENT } });
  expect(stdout).toMatch(/^absent +S3 +client not installed; .*\n +→ npm install @aws-sdk\/client-s3$/m);
  expect(code).toBe(0);
});
