import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { testCodecs } from "../helpers/zstd.js";

/**
 * How a process ends that never closed its writer. Each scenario runs in a child with batches in every stage. What matters: the
 * exit code that was asked for, no crash by a signal, no hang.
 */
const program = (ending: string, dist: string): string => `
import { existsSync, writeFileSync } from "node:fs";
import { moduleSink, openWriter } from ${JSON.stringify(dist)};
const sink = moduleSink(${JSON.stringify(new URL("../helpers/slow_sink.js", import.meta.url).href)}, { marker: process.argv[1] });
const writer = await openWriter({
  sink,
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

describe.each(testCodecs)("with codec %s", (codec) => {
  it.each([
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
  ])("%s ends as it should", async (_, ending, expected) => {
    for (let i = 0; i < 3; i++) {
      const { code, killedBy, stderr } = await run(ending, codec);
      expect({ code, killedBy, stderr: expected === 1 ? "" : stderr }).toEqual({
        code: expected,
        killedBy: null,
        stderr: "",
      });
    }
  });
});

it("an idle writer that nobody closed does not keep the process", async () => {
  const { code, killedBy } = await run("await writer.flush(); process.exitCode = 4;", "none");
  expect({ code, killedBy }).toEqual({ code: 4, killedBy: null });
});

it.each(["SIGTERM", "SIGINT"] as const)("%s ends it by that signal", async (signal) => {
  const { code, killedBy } = await run("console.log('ready'); await writer.close()", "none", {}, signal);
  expect({ code, killedBy }).toEqual({ code: null, killedBy: signal });
});

it("fails with EXIT_HANDSHAKE off: the process leaves before its engine has stopped", async () => {
  const { code } = await run("process.exit(0)", "none", { MILLRACE_RULES_OFF: "EXIT_HANDSHAKE" });
  expect(code).toBe(99);
});
