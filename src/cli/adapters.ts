import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { AdaptersAnswer } from "./adapters_child.js";

/** A driver that has to be loaded from a slow disk takes seconds. */
const TIMEOUT_MS = 60_000;

export interface AdaptersReport extends AdaptersAnswer {
  /** What WebGPU and the drivers printed: the reason why there is no adapter is only told there. */
  readonly printed: string;
}

/**
 * Asks a process of its own for the adapters. Never rejects: a process that ends without an answer is an error in the
 * report.
 */
export function askForAdapters(): Promise<AdaptersReport> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL("./adapters_child.js", import.meta.url)), {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    let printed = "";
    let answer: AdaptersAnswer | undefined;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      printed = (printed + text).slice(0, 4000);
    });
    child.on("message", (message: AdaptersAnswer) => {
      answer = message;
    });
    const end = (how: string): void => {
      resolve({ ...(answer ?? { adapters: [], error: `looking for adapters failed: ${how}.` }), printed });
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(`the process ended by ${signal ?? `exit code ${code}`}`));
  });
}
