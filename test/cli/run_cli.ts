import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
// Compiled: commands start worker threads.
import { main } from "../../dist/cli/main.js";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const BIN = join(root, "bin", "millrace.js");

export interface CliResult {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  /** Resolves once stderr or stdout contains the text, or matches; rejects when the process ends before. */
  readonly saw: (text: string | RegExp) => Promise<void>;
  readonly result: Promise<CliResult>;
}

/** Starts the built command line as a process of its own. stdin stays open until the caller ends it. */
export function startCli(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): RunningCli {
  const child = spawn(process.execPath, [BIN, ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // A process that ends before it has read its input is what some tests are about.
  child.stdin.on("error", () => {});
  let stdout = "";
  let stderr = "";
  const watchers = new Set<() => void>();
  child.stdout.on("data", (part) => {
    stdout += part;
    for (const watch of watchers) watch();
  });
  child.stderr.on("data", (part) => {
    stderr += part;
    for (const watch of watchers) watch();
  });
  const result = new Promise<CliResult>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const saw = (text: string | RegExp) =>
    new Promise<void>((resolve, reject) => {
      const isIn = (said: string) => (typeof text === "string" ? said.includes(text) : text.test(said));
      const watch = () => {
        if (!isIn(stdout) && !isIn(stderr)) return;
        watchers.delete(watch);
        resolve();
      };
      watchers.add(watch);
      watch();
      result.then(
        ({ code }) => reject(new Error(`ended with ${code} before it said "${text}": ${stdout}${stderr}`)),
        reject,
      );
    });
  return { child, saw, result };
}

interface RunOptions {
  readonly input?: Uint8Array;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Runs one command to its end, in this process: starting Node costs more than most commands. One at a time; signals,
 * exit codes of a process and what Node itself says are for {@link startCli} and {@link runCliProcess}.
 */
export async function runCli(args: readonly string[], options: RunOptions = {}): Promise<CliResult> {
  const names = Object.keys(options.env ?? {});
  // What other variables decide is decided once in a process.
  if (options.cwd !== undefined || names.some((name) => !name.startsWith("AWS_"))) {
    return await runCliProcess(args, options);
  }
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  setVariables(options.env ?? {});
  const stdout = new TextSink();
  const stderr = new TextSink();
  try {
    const stdin = Readable.from(options.input === undefined ? [] : [Buffer.from(options.input)], { objectMode: false });
    const code = await main(args, { stdin, stdout, stderr });
    return { code, stdout: stdout.text, stderr: stderr.text };
  } finally {
    setVariables(before);
  }
}

/** The same as a process of its own. */
export async function runCliProcess(args: readonly string[], options: RunOptions = {}): Promise<CliResult> {
  const { child, result } = startCli(args, options);
  child.stdin?.end(options.input ?? new Uint8Array());
  return await result;
}

function setVariables(env: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

class TextSink extends Writable {
  text = "";

  override _write(part: Uint8Array, _: string, done: () => void): void {
    this.text += Buffer.from(part).toString();
    done();
  }
}

/** The object that `--json` put on the last line of stdout. */
export function lastJson(result: CliResult): unknown {
  const line = result.stdout.trimEnd().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`no JSON on the last line of stdout: ${result.stdout}${result.stderr}`, { cause });
  }
}
