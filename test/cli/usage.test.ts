import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lastJson, root, runCli } from "./run_cli.js";

const COMMANDS = ["write", "demo", "verify", "inspect", "doctor", "recover", "advise", "estimate", "view"];

describe("usage", () => {
  it("names every command in its help, and explains each", async () => {
    const help = await runCli(["--help"]);
    expect(help.code).toBe(0);
    for (const command of COMMANDS) expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b.+`, "m"));
    expect(help.stdout).toContain("Exit codes");
    const writeHelp = await runCli(["write", "--help"]);
    expect(writeHelp).toMatchObject({ code: 0, stderr: "" });
    for (const text of ["--dims", "--append-bytes", "default: 1048576", "Examples:"])
      expect(writeHelp.stdout).toContain(text);
  });

  it("offers the same backends in every command that encodes", async () => {
    for (const command of ["write", "demo", "bench"]) {
      const { stdout } = await runCli([command, "--help"]);
      const help = stdout.replace(/\s+/g, " ");
      expect(help).toMatch(/--codec <codec> none, blosc, zstd or zstd:LEVEL \(default: blosc[;)]/);
      expect(help).toContain("--backend <backend> what encodes; auto: a GPU where there is one, else the CPU");
      expect(help).toContain('(choices: "auto", "cpu", "gpu", default: "auto")');
      expect(help).toContain("--allow-software-adapter let --backend gpu take an adapter that is software");
    }
  });

  it("has an example on S3 in every command that takes a store", async () => {
    for (const command of ["write", "demo", "verify", "inspect", "doctor"]) {
      const { stdout } = await runCli([command, "--help"]);
      expect(stdout).toMatch(/^ .*millrace \w+ (--s3 )?s3:\/\/bucket\//m);
      for (const flag of ["--endpoint <url>", "--region <name>", "--profile <name>"]) expect(stdout).toContain(flag);
    }
  });

  it("prints the package's version", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(await runCli(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it.each<[string[], RegExp]>([
    [[], /^Usage: millrace/],
    [["polish"], /^millrace: INVALID_OPTION: unknown command 'polish'/],
    [["write", "a.zarr"], /^millrace: INVALID_OPTION: required option '--dtype/],
    [["write", "a.zarr", "--dtype", "complex64", "--dims", "t:0:1"], /Allowed choices are uint8, uint16/],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0"], /expected name:size:chunk:shard/],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--codec", "lz4"], /^millrace: UNKNOWN_CODEC: .*lz4/],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--append-bytes", "0"], /Expected a number of bytes/],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--input", "-", "-"], /more than once/],
    [
      ["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--input", "absent.raw"],
      /absent\.raw cannot be read: there is no such file/,
    ],
    [["demo", "--frames", "3", "--seconds", "1"], /cannot be used with/],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--region", "r"], /--region is for stores on s3:/],
    [["verify", "a.zarr", "--endpoint", "http://127.0.0.1:9000"], /--endpoint is for stores on s3:/],
    [["inspect", "s3://"], /bucket must be the name of a bucket/],
    [["inspect", "s3://bucket/a.zarr", "--endpoint", "127.0.0.1:9000"], /endpoint must be a URL/],
    [["demo", "s3://bucket/a.zarr", "--part-bytes", "1"], /--part-bytes must be a whole number from 5242880/],
    [["doctor", "--s3", "bucket"], /must be s3:\/\/bucket\/prefix/],
    [["doctor", "--profile", "p"], /--profile is for stores on s3:\/\/; it goes with --s3/],
    [["inspect"], /missing required argument 'store'/],
  ])("refuses %j with exit code 2 and one line", async (args, message) => {
    const result = await runCli(args);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(2);
    if (args.length > 0) expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it.each<[string[]]>([
    [["view", "a.zarr", "--port", "8080"]],
    [["write", "a.zarr", "--dtype", "uint8", "--dims", "t:0:1", "--multiscale"]],
  ])("says NOT_YET to %j, also as JSON", async (args) => {
    const result = await runCli([...args, "--json"]);
    expect(result.code).toBe(2);
    expect(lastJson(result)).toEqual({
      error: { code: "NOT_YET", message: expect.any(String), context: expect.any(Object) },
    });
  });

  it("says how to build when dist/ is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-bin-"));
    try {
      await cp(join(root, "bin"), join(folder, "bin"), { recursive: true });
      await cp(join(root, "package.json"), join(folder, "package.json"));
      const result = spawnSync(process.execPath, [join(folder, "bin", "millrace.js")], { encoding: "utf8" });
      expect(result).toMatchObject({ status: 2, stderr: expect.stringContaining("npm run build") });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("examines the machine without ever printing a credential", async () => {
    const env = { AWS_ACCESS_KEY_ID: "key-that-must-not-show", AWS_SECRET_ACCESS_KEY: "secret-that-must-not-show" };
    const human = await runCli(["doctor"], { env });
    const json = await runCli(["doctor", "--json"], { env });
    expect([human.code, json.code]).toEqual([0, 0]);
    expect(human.stdout + json.stdout).not.toContain("must-not-show");
    expect(human.stdout).toContain("AWS_ACCESS_KEY_ID");
    const { findings } = lastJson(json) as { findings: { name: string; state: string; detail: string }[] };
    expect(findings.map((f) => f.name)).toEqual(
      expect.arrayContaining(["Node", "addon", "codec none", "codec zstd", "cores", "memory", "webgpu", "S3"]),
    );
    expect(findings[0]).toMatchObject({
      name: "Node",
      state: "ok",
      detail: expect.stringContaining(process.versions.node),
    });
  });
});

it.runIf(process.platform === "linux" && process.env.MILLRACE_ADDON === "require")(
  "build-addon says when there is nothing to do",
  async () => {
    expect(await runCli(["build-addon"])).toMatchObject({
      code: 0,
      stderr: "millrace: the native addon is up to date\n",
    });
  },
);
