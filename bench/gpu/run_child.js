import { spawn } from "node:child_process";

/** Groups of the children under way; an interrupt must reach their children too. */
const running = new Set();
const group = process.platform !== "win32";

function end(child) {
  try {
    if (group) process.kill(-child.pid, "SIGKILL");
    else child.kill("SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.once(signal, () => {
    for (const child of running) end(child);
    process.exit(code);
  });
}

/**
 * Runs `node ARGS` for at most `seconds` and resolves with what its last line of stdout says, as JSON. Never rejects:
 * where there is no such line, the answer is `{ error: { code, message } }` with the reason. A process that answers and
 * then crashes has answered.
 * @param {string[]} args
 * @param {number} seconds
 * @param {{ echo?: boolean }} [how] `echo`: its stderr is also ours
 * @returns {Promise<Record<string, any>>}
 */
export function runChild(args, seconds, { echo = false } = {}) {
  return new Promise((resolve) => {
    // A group of its own, so that the processes it starts end with it.
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], detached: group });
    running.add(child);
    let stdout = "";
    let stderr = "";
    let late = false;
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      if (echo) process.stderr.write(text);
      // The end says what went wrong; a driver can be chatty.
      stderr = (stderr + text).slice(-4000);
    });
    const timer = setTimeout(() => {
      late = true;
      end(child);
    }, seconds * 1000);
    const failed = (code, message) => resolve({ error: { code, message } });
    child.on("error", (error) => failed("NOT_STARTED", error.message));
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const answer = parsed(stdout);
      if (answer !== undefined) resolve(answer);
      else if (late) failed("TIME", `it was stopped after ${seconds.toFixed(0)} s`);
      else failed(signal ?? `EXIT_${code}`, stderr.trim().split("\n").at(-1) || "it ended without a word");
    });
  });
}

function parsed(stdout) {
  try {
    const value = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
