import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { craftStore } from "../helpers/craft_store.js";
import { lastJson, runCli, startCli } from "./run_cli.js";

let folder: string;
let good: string;
let bad: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-verify-"));
  const { objects, keys } = await craftStore({
    dtype: "uint16",
    shape: [16, 16],
    chunk: [2, 2],
    shard: [8, 8],
    codec: { name: "zstd", level: 1 },
  });
  good = join(folder, "good.zarr");
  bad = join(folder, "bad.zarr");
  for (const [key, bytes] of objects) {
    for (const store of [good, bad]) {
      const path = join(store, key);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
    }
  }
  // Every chunk of two shards, and the index of a third.
  for (const key of keys.slice(0, 2)) await writeFile(join(bad, key), objects.get(key)!.fill(0, 0, -(16 * 16 + 4)));
  const last = join(bad, keys[3]);
  const bytes = await readFile(last);
  bytes[bytes.length - 1] ^= 1;
  await writeFile(last, bytes);
  // A name that would turn the terminal's text red.
  await writeFile(join(bad, "\u001b[31mred"), "");
});
afterAll(() => rm(folder, { recursive: true }));

const text = (path: string): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  runCli(["verify", path]);

describe("millrace verify", () => {
  it("ends with 0 for a good store, and says what was checked", async () => {
    const result = await text(good);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain("4, ");
    expect(result.stdout).toMatch(/ok\n$/);
  });

  it("lists the first defects of a bad one, counts the rest, and ends with 1", async () => {
    const result = await text(bad);
    expect(result.code).toBe(1);
    const lines = result.stdout.split("\n");
    expect(lines.filter((line) => line.startsWith("bad: CHUNK_DECODE")).length).toBe(20);
    expect(result.stdout).toContain("bad: CHUNK_DECODE c/0/0 chunk [0, 0] at bytes 0 to ");
    expect(result.stdout).toContain("bad: and 13 more\n");
    expect(result.stdout).toContain("odd: STRAY_KEY �[31mred: ");
    expect(result.stdout).toMatch(/bad: 33 defects\n$/);
    expect((await runCli(["verify", bad, "--findings", "2"])).stdout).toContain("bad: and 31 more\n");
  });

  it("prints everything about each finding with --json", async () => {
    const result = await runCli(["verify", bad, "--json", "--threads", "0", "--concurrency", "2", "--memory", "64MiB"]);
    expect(result.code).toBe(1);
    const report = lastJson(result) as { ok: boolean; defects: object[] };
    expect(report).toMatchObject({
      ok: false,
      arrays: [{ objectsChecked: 4, objectsMissing: 0 }],
      unlisted: { defects: 0 },
    });
    expect(report.defects).toHaveLength(33);
    expect(report.defects[17]).toEqual({
      code: "CHUNK_DECODE",
      severity: "defect",
      key: "c/0/1",
      chunk: 1,
      coordinates: [0, 5],
      offset: expect.any(Number),
      length: expect.any(Number),
      message: expect.stringContaining("zstd"),
    });
    expect(report.defects[32]).toMatchObject({ code: "INDEX_CHECKSUM", key: "c/1/1", length: 260 });
  });

  it("says how far it is with --progress json", async () => {
    const result = await runCli(["verify", bad, "--progress", "json"]);
    const line = result.stderr.trimEnd().split("\n").at(-1)!;
    expect(JSON.parse(line)).toEqual({
      seconds: expect.any(Number),
      objectsChecked: 4,
      objectsExpected: 4,
      chunksChecked: 48,
      bytesStored: expect.any(Number),
      defects: 33,
    });
    expect((await runCli(["verify", bad, "--progress", "none"])).stderr).toBe("");
  });

  it.each([
    [["--findings", "0"], "findings"],
    [["--memory", "1"], "memoryBytes"],
    [["--threads", "-1"], "threads"],
    [["--concurrency", "1000"], "concurrency"],
  ])("refuses %j", async (flags, name) => {
    const result = await runCli(["verify", good, ...flags]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain(name);
  });

  it("stops at Ctrl-C, tells what it has found, and ends with 130", async () => {
    let asked = () => {};
    // A server that takes requests and never answers.
    const server = createServer(() => asked());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      for (const json of [true, false]) {
        const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        const flags = ["--endpoint", endpoint, "--region", "us-east-1", ...(json ? ["--json"] : [])];
        const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret", AWS_EC2_METADATA_DISABLED: "true" };
        const request = new Promise<void>((resolve) => {
          asked = resolve;
        });
        const running = startCli(["verify", "s3://bucket/run.zarr", ...flags], { env });
        await request;
        running.child.kill("SIGINT");
        const result = await running.result;
        expect(result.code).toBe(130);
        expect(result.stderr).toContain("stopping");
        if (json)
          expect(lastJson(result)).toMatchObject({ ok: false, interrupted: true, defects: [], objectsChecked: 0 });
        else expect(result.stdout).toContain("stopped after 0 shards");
      }
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
