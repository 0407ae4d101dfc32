import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { recoverStore } from "../../src/recover/recover.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { isWide, times } from "../helpers/wide.js";
import { testCodecs } from "../helpers/zstd.js";

const slowSink = new URL("../helpers/slow_sink.js", import.meta.url).href;

/**
 * How a process ends that never closed its writer. Each scenario runs in a child with batches in every stage. What
 * matters: the exit code that was asked for, no crash by a signal, no hang.
 */
const program = (ending: string, dist: string): string => `
import { existsSync, writeFileSync } from "node:fs";
import { moduleSink, openWriter } from ${JSON.stringify(dist)};
const sink = moduleSink(${JSON.stringify(slowSink)}, { marker: process.argv[1] });
const writer = await openWriter({
  sink,
  backend: "cpu",
  batchEpochs: 1,
  encodeThreads: 2,
  array: {
    dtype: "uint16",
    codec: process.argv[2],
    dimensions: [{ name: "t", size: null, chunk: 4, shard: 8 }, { name: "x", size: 60000, chunk: 1000, shard: 30000 }],
  },
});
writer.on("error", () => {});
// After Millrace's own exit hook, which was set when the writer opened.
process.on("exit", (code) => {
  if (!existsSync(process.argv[1])) process.exitCode = 99;
});
writer.append(new Uint16Array(60000 * 40).map((_, i) => i)).catch(() => {});
await new Promise((resolve) => setTimeout(resolve, 30));
${ending}
`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

let folder: string;
let runs = 0;
beforeAll(async () => {
  folder = await makeTempFolder();
});
afterAll(() => removeFolder(folder));

async function run(ending: string, codec: string, env: Record<string, string> = {}, signal?: NodeJS.Signals) {
  const marker = join(folder, `closed-${runs++}`);
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program(ending, dist), marker, codec], {
    env: { ...process.env, MILLRACE_DEBUG: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let stderr = "";
  child.stderr?.on("data", (text) => {
    stderr += text;
  });
  if (signal !== undefined) child.stdout?.once("data", () => child.kill(signal));
  const [code, killedBy] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return { code, killedBy, stderr };
}

const ENDINGS: readonly [string, string, number][] = [
  ["process.exit(0)", "process.exit(0)", 0],
  ["process.exit(3)", "process.exit(3)", 3],
  ["an uncaught throw", "throw new Error('boom')", 1],
  [
    "an unhandled rejection",
    "Promise.reject(new Error('boom')); await new Promise(() => setTimeout(() => {}, 2000))",
    1,
  ],
  ["close after all", "await writer.close(); process.exit(5)", 5],
  ["abort", "await writer.abort(); process.exit(6)", 6],
];

describe.each(testCodecs)("with codec %s", (codec) => {
  // Every ending once; with every codec in a wide run.
  const index = testCodecs.indexOf(codec);
  it.each(ENDINGS.filter((_, i) => isWide || i % testCodecs.length === index))(
    "%s ends as it should",
    async (_, ending, expected) => {
      for (let i = 0; i < times(1, 3); i++) {
        const { code, killedBy, stderr } = await run(ending, codec);
        expect({ code, killedBy, stderr: expected === 1 ? "" : stderr }).toEqual({
          code: expected,
          killedBy: null,
          stderr: "",
        });
      }
    },
  );
});

it("an idle writer that nobody closed does not keep the process", async () => {
  const { code, killedBy } = await run("await writer.flush(); process.exitCode = 4;", "none");
  expect({ code, killedBy }).toEqual({ code: 4, killedBy: null });
});

/** The second row of shards is published when an interval is over that no test sees the end of. */
it("an idle inline writer does not keep the process until its next refresh is due", async () => {
  const ending = `
    const idle = await openWriter({
      sink: moduleSink(sink.options.url, { marker: process.argv[1] }),
      threads: "inline",
      backend: "cpu",
      publishIntervalMs: 7 * 24 * 3600 * 1000,
      batchEpochs: 1,
      array: { dtype: "uint8", codec: "none", dimensions: [{ name: "t", size: null, chunk: 1, shard: 1 }] },
    });
    await idle.append(new Uint8Array(4));
    await idle.flush();
    await writer.abort();
    await idle.append(new Uint8Array(4));
    process.exitCode = 4;
    await new Promise((resolve) => idle.on("shard", ({ rowTo }) => rowTo === 8 && resolve()));
  `;
  const { code, killedBy, stderr } = await run(ending, "none");
  expect({ code, killedBy, stderr }).toEqual({ code: 4, killedBy: null, stderr: "" });
});

it.each(["SIGTERM", "SIGINT"] as const)("%s ends it by that signal", async (signal) => {
  const { code, killedBy } = await run("console.log('ready'); await writer.close()", "none", {}, signal);
  expect({ code, killedBy }).toEqual({ code: null, killedBy: signal });
});

/**
 * The same on files, in the middle of a stream that has published some rows. What a process leaves behind that did not
 * close: a valid store, and every row that it was told is published.
 */
const FILES_PROGRAM = (dist: string, ending: string): string => `
import { fileSink, openWriter } from ${JSON.stringify(dist)};
const [path, threads] = process.argv.slice(1);
const writer = await openWriter({
  sink: fileSink(path),
  threads,
  backend: "cpu",
  batchEpochs: 1,
  publishIntervalMs: 0,
  array: {
    dtype: "uint16",
    codec: "none",
    dimensions: [{ name: "t", size: null, chunk: 4, shard: 8 }, { name: "x", size: 600, chunk: 100, shard: 300 }],
  },
});
writer.on("error", () => {});
const rows = (from, to) => new Uint16Array((to - from) * 600).map((_, i) => from * 600 + i);
let fed = 0;
const feed = async (to) => {
  for (; fed < to; fed += 3) await writer.append(rows(fed, fed + 3));
};
while (writer.watermarks.published < 16) await feed(fed + 3);
process.stdout.write("published " + writer.watermarks.published + "\\n");
${ending}
`;

interface FilesEnd {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly stderr: string;
  /** Rows that the process was told are published, and those that are. */
  readonly told: number;
  readonly published: number;
}

/** What readers see is right; returns how many rows that are. */
async function checkStore(path: string): Promise<number> {
  const array = await openArray(path);
  const { data } = await array.readRegion();
  const values = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
  expect(values.every((value, i) => value === i % 65_536)).toBe(true);
  expect((await verifyStore(path)).defects).toEqual([]);
  return array.metadata.shape[0];
}

async function runOnFiles(ending: string, threads: string, signal?: NodeJS.Signals): Promise<FilesEnd> {
  const path = join(folder, `store-${runs++}.zarr`);
  const dist = new URL("../../dist/index.js", import.meta.url).href;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", FILES_PROGRAM(dist, ending), path, threads], {
    env: { ...process.env, MILLRACE_DEBUG: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
    if (signal !== undefined) child.kill(signal);
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const [code, killedBy] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  const published = await checkStore(path);
  const { status } = await recoverStore(path);
  expect(["recovered", "clean"]).toContain(status);
  expect(await checkStore(path)).toBeGreaterThanOrEqual(published);
  return { code, killedBy, stderr, told: Number(/published (\d+)/.exec(stdout)?.[1]), published };
}

describe.each(["workers", "inline"])("a stream on files, threads %s", (threads) => {
  const STREAMS_ON = "feed(1e9).catch(() => {}); await new Promise(() => setInterval(() => {}, 1000));";

  it.each([
    ["by process.exit", "feed(1e9).catch(() => {}); process.exit(3);", 3],
    ["by process.exit while it closes", "writer.close().catch(() => {}); process.exit(4);", 4],
    ["by process.exit while it aborts", "feed(1e9).catch(() => {}); writer.abort(); process.exit(5);", 5],
    ["by an uncaught throw", "feed(1e9).catch(() => {}); throw new Error('boom');", 1],
    [
      "by an uncaught throw of a listener",
      "writer.on('progress', () => { throw new Error('boom'); }); await feed(1e9);",
      1,
    ],
    [
      "by an unhandled rejection",
      "feed(1e9).catch(() => {}); Promise.reject(new Error('boom')); await new Promise(() => {});",
      1,
    ],
    // Not closed, and nothing left to do: what was handed over may or may not be written.
    ["naturally", "await feed(fed + 30); process.exitCode = 6;", 6],
    ["naturally, with an append that waits", "writer.append(rows(fed, fed + 99)); process.exitCode = 7;", 7],
    ["naturally, after close", "await feed(fed + 30); await writer.close(); process.exitCode = 8;", 8],
  ])("that ends %s", async (_, ending, expected) => {
    const { code, killedBy, stderr, told, published } = await runOnFiles(ending, threads);
    expect({ code, killedBy }, stderr).toEqual({ code: expected, killedBy: null });
    if (expected === 1) expect(stderr).toContain("boom");
    else expect(stderr).toBe("");
    expect(published).toBeGreaterThanOrEqual(told);
  });

  it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("that is ended by %s", async (signal) => {
    const { code, killedBy, told, published } = await runOnFiles(STREAMS_ON, threads, signal);
    expect({ code, killedBy }).toEqual({ code: null, killedBy: signal });
    expect(published).toBeGreaterThanOrEqual(told);
  });

  it("whose program catches what listeners throw goes on", async () => {
    const { code, stderr, told, published } = await runOnFiles(
      `
        const caught = new Map();
        process.on("uncaughtException", ({ message }) => caught.set(message, (caught.get(message) ?? 0) + 1));
        let heard = 0;
        for (const name of ["shard", "progress", "error", "warning"]) {
          writer.on(name, () => { throw new Error(name); });
          writer.on(name, () => { heard++; });
        }
        const before = fed;
        await feed(before + 60);
        await writer.flush();
        await writer.close();
        if (heard === 0 || !(caught.get("shard") > 0) || !(caught.get("progress") > 0)) process.exitCode = 9;
        if (writer.watermarks.published !== before + 60) process.exitCode = 10;
      `,
      threads,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(published).toBeGreaterThan(told);
  });

  it("whose listener of the failure throws still ends", async () => {
    const { code, stderr } = await runOnFiles(
      `
        process.on("uncaughtException", ({ message }) => { if (message === "of the listener") process.exitCode = 11; });
        writer.on("error", () => { throw new Error("of the listener"); });
        const waiting = writer.append(rows(fed, fed + 99)).catch(() => {});
        await writer.abort();
        await waiting;
      `,
      threads,
    );
    expect({ code, stderr }).toEqual({ code: 11, stderr: "" });
  });
});

it("fails with EXIT_HANDSHAKE off: the process leaves before its engine has stopped", async () => {
  const { code } = await run("process.exit(0)", "none", { MILLRACE_RULES_OFF: "EXIT_HANDSHAKE" });
  expect(code).toBe(99);
});
