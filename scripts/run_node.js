// Runs one of the project's Node programs to its end; shared by the scripts behind `npm start` and `npm test`.
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @param {string[]} args what follows `node`
 * @returns {Promise<number>} the exit code; 128 + n when signal n ended it
 */
export function runNode(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
    // Ctrl-C reaches the whole process group: the child decides what it means, this process only has to outlive it.
    // SIGTERM reaches this process alone and is passed on.
    const outlive = () => {};
    const passOn = () => child.kill("SIGTERM");
    process.on("SIGINT", outlive);
    process.on("SIGTERM", passOn);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      process.off("SIGINT", outlive);
      process.off("SIGTERM", passOn);
      resolve(code ?? (signal === "SIGINT" ? 130 : 143));
    });
  });
}
