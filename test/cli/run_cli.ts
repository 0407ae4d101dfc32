import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

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
  /** Resolves once stderr or stdout contains the text; rejects when the process ends before. */
  readonly saw: (text: string) => Promise<void>;
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
  const saw = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const watch = () => {
        if (!stdout.includes(text) && !stderr.includes(text)) return;
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

/** Runs one command to its end. */
export async function runCli(
  args: readonly string[],
  options: { input?: Uint8Array; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<CliResult> {
  const { child, result } = startCli(args, options);
  child.stdin?.end(options.input ?? new Uint8Array());
  return await result;
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
