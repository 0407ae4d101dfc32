import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { noGpu } from "../helpers/gpu.js";
import { spread, times } from "../helpers/wide.js";

/**
 * How a process ends that has a GPU at work on another thread: with the code that was asked for, and not by the
 * binding's abort (134), which is what work that is pending when its thread is torn down comes to. Each scenario is a
 * process of its own.
 */
const dist = new URL("../../dist/", import.meta.url);

/** After `busy` batches follow each other without a pause, until the writer is closed: the sink keeps nothing. */
const PROGRAM = `
import { discardSink, memorySink, openWriter } from ${JSON.stringify(new URL("index.js", dist).href)};
import { Interrupts } from ${JSON.stringify(new URL("cli/interrupt.js", dist).href)};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const data = new Uint16Array(4000 * 100).map((_, i) => i);
const open = (more = {}) => openWriter({
  sink: discardSink(),
  backend: "gpu",
  allowSoftwareAdapter: true,
  batchEpochs: 1,
  array: {
    dtype: "uint16",
    codec: "none",
    dimensions: [{ name: "t", size: null, chunk: 4, shard: 8 }, { name: "x", size: 4000, chunk: 1000, shard: 2000 }],
  },
  ...more,
});
const gpuChunks = (writer) => writer.metrics().chunksByRoute.gpu;
const busy = async (writer) => {
  writer.on("error", () => {});
  const feed = async () => {
    for (;;) await writer.append(data);
  };
  feed().catch(() => {});
  while (gpuChunks(writer) < 8) await pause(1);
};
`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
});

interface End {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param signals sent one after the other, each when the child has said "ready" once more */
async function run(
  ending: string,
  { env = {}, signals = [] }: { env?: Record<string, string>; signals?: readonly NodeJS.Signals[] } = {},
): Promise<End> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM + ending], {
    env: { ...process.env, MILLRACE_DEBUG: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const left = [...signals];
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const _ of text.matchAll(/ready/g)) {
      const signal = left.shift();
      if (signal !== undefined) child.kill(signal);
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code, killedBy] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, killedBy, stdout, stderr };
}

/** What it is, what it does in the end, and with which code. */
const ENDINGS: readonly [string, string, number][] = [
  [
    "that closes it",
    "const w = await open(); await w.append(data); await w.close(); if (gpuChunks(w) !== 100) process.exitCode = 9;",
    0,
  ],
  ["that leaves with batches under way", "await busy(await open()); process.exit(0);", 0],
  ["that leaves with a code", "await busy(await open()); process.exit(3);", 3],
  ["that leaves right after it was opened", "const w = await open(); w.tryAppend(data); process.exit(4);", 4],
  ["that aborts it", "const w = await open(); await busy(w); await w.abort(); process.exitCode = 5;", 5],
  [
    "that leaves while it aborts",
    "const w = await open(); await busy(w); w.abort(); await pause(1); process.exit(6);",
    6,
  ],
  [
    "that leaves while it closes",
    "const w = await open(); await w.append(data); w.close(); await pause(5); process.exit(7);",
    7,
  ],
  ["that leaves with two of them", "await Promise.all([busy(await open()), busy(await open())]); process.exit(8);", 8],
  [
    "that closes two at once",
    "await Promise.all([0, 1].map(async () => { const w = await open(); await w.append(data); await w.close(); }));",
    0,
  ],
  ["that never closes it", "const w = await open(); await w.append(data); process.exitCode = 10;", 10],
  ["that waits for nothing", "const w = await open(); w.append(data); process.exitCode = 11;", 11],
  ["on its own thread, that leaves", "await busy(await open({ threads: 'inline' })); process.exit(12);", 12],
  [
    "on its own thread, that leaves while it opens",
    "open({ threads: 'inline' }); await pause(100); process.exit(14);",
    14,
  ],
  [
    "on its own thread, that writes while it leaves",
    "const w = await open({ threads: 'inline' }); process.on('exit', () => w.tryAppend(data)); " +
      "await busy(w); process.exit(15);",
    15,
  ],
];

describe.skipIf(noGpu)("a process with a GPU stream", () => {
  it.each(spread(ENDINGS, 8))("%s ends as it should", async (_, ending, expected) => {
    const { code, killedBy, stderr } = await run(ending);
    expect({ code, killedBy, stderr }).toEqual({ code: expected, killedBy: null, stderr: "" });
  });

  it("ends as it should every time, also when the device has answers left that nobody waits for", async () => {
    // Without the addon batches take longest, and what an abort leaves unanswered is then most likely still so.
    const env = { MILLRACE_ADDON: "off" };
    for (let i = 0; i < times(1, 8); i++) {
      const { code, killedBy, stderr } = await run("const w = await open(); w.append(data); process.exitCode = 16;", {
        env,
      });
      expect({ code, killedBy, stderr }).toEqual({ code: 16, killedBy: null, stderr: "" });
    }
  });

  it.each([
    ["an uncaught throw", "await busy(await open()); throw new Error('boom');"],
    ["an unhandled rejection", "await busy(await open()); Promise.reject(new Error('boom')); await pause(10_000);"],
  ])("ends with code 1 after %s", async (_, ending) => {
    const { code, killedBy, stderr } = await run(ending);
    expect({ code, killedBy }).toEqual({ code: 1, killedBy: null });
    expect(stderr).toContain("boom");
  });

  it("waits for kernels that are being compiled", async () => {
    // The encoder's take longer than a leaving process waits for anything else.
    const array = `{ dtype: "uint16", codec: "blosc", dimensions: [
      { name: "t", size: null, chunk: 4, shard: 8 }, { name: "x", size: 4000, chunk: 1000, shard: 2000 }] }`;
    const ending = `open({ array: ${array} }).catch(() => {}); await pause(1000); process.exit(13);`;
    const { code, killedBy, stderr } = await run(ending);
    expect({ code, killedBy, stderr }).toEqual({ code: 13, killedBy: null, stderr: "" });
  });

  it.each([
    ["closes at the first Ctrl-C", ["SIGINT"], "closed"],
    ["aborts at the second", ["SIGINT", "SIGINT"], "aborted"],
  ] as const)("that handles signals as the command line does %s", async (_, signals, said) => {
    const untilAborting = "console.log('ready again'); while (!interrupts.aborting.aborted) await pause(1);";
    const ending = `
      const interrupts = new Interrupts(process.stderr);
      const w = await open();
      await busy(w);
      interrupts.closing.addEventListener("abort", async () => {
        ${signals.length === 2 ? untilAborting : ""}
        await w.close().then(() => console.log("closed"), () => console.log("aborted"));
        process.exitCode = 130;
        interrupts[Symbol.dispose]();
      });
      interrupts.aborting.addEventListener("abort", () => void w.abort());
      console.log("ready");
    `;
    const { code, killedBy, stdout } = await run(ending, { signals });
    expect({ code, killedBy }).toEqual({ code: 130, killedBy: null });
    expect(stdout.trim().split("\n").at(-1)).toBe(said);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("is ended by %s where nobody handles it", async (signal) => {
    const ending = "const w = await open(); await busy(w); console.log('ready'); await pause(10_000);";
    const { code, killedBy } = await run(ending, { signals: [signal] });
    expect({ code, killedBy }).toEqual({ code: null, killedBy: signal });
  });

  it("fails with EXIT_HANDSHAKE off: the process is aborted", async () => {
    const env = { MILLRACE_RULES_OFF: "EXIT_HANDSHAKE" };
    // Whether a process that leaves too early meets its device at work is a matter of chance: some of them do.
    const ends: (string | null)[] = [];
    for (let i = 0; i < 6 && !ends.some((end) => end !== null); i++) {
      ends.push((await run("await busy(await open()); process.exit(0);", { env })).killedBy);
    }
    expect(["SIGABRT", "SIGSEGV"]).toContain(ends.at(-1));
  });

  it("ends by itself when no GPU could be opened", async () => {
    const ending = "await open().catch(({ code }) => console.log(code));";
    const { code, killedBy, stdout } = await run(ending, { env: { VK_ICD_FILENAMES: "/nowhere.json" } });
    expect({ code, killedBy, stdout }).toEqual({ code: 0, killedBy: null, stdout: "BACKEND_UNAVAILABLE\n" });
  });

  it("takes no processor time while nothing comes", async () => {
    const { code, stdout, stderr } = await run(`
      const w = await open();
      await w.append(data);
      await w.flush();
      if (gpuChunks(w) !== 100) throw new Error("not on the GPU");
      // What compiling has left to collect is not the stream's.
      await pause(300);
      const before = process.cpuUsage();
      await pause(2000);
      const { user, system } = process.cpuUsage(before);
      console.log((user + system) / 1e6);
      await w.close();
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    // A map that is left pending is polled for, and takes a whole core: two seconds.
    expect(Number(stdout)).toBeLessThan(1);
  });
});
