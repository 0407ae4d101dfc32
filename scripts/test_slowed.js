// `npm run test:slowed`: the test suite on a machine that is slow and busy, three times. It has about half of one core:
// its priority is low, and every core has a loop beside it that never rests. What depends on time fails here; it must
// be green each time.
//
// Usage: node scripts/test_slowed.js [RUNS [ARGUMENTS FOR VITEST…]]
import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root } from "./run_node.js";

const [given = "3", ...args] = process.argv.slice(2);
const runs = Number(given);
if (!Number.isInteger(runs) || runs < 1) {
  console.error(`usage: node scripts/test_slowed.js [RUNS [ARGUMENTS FOR VITEST…]]; got ${given}`);
  process.exit(2);
}

/** `taskset` is of Linux; elsewhere the loops alone slow the tests down. */
const hasTaskset = spawnSync("taskset", ["--version"]).status === 0;
const [command, ...before] = [...(hasTaskset ? ["taskset", "-c", "0"] : []), "nice", "-n", "5", process.execPath];

const loops = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
);
const stopLoops = () => {
  for (const loop of loops) loop.kill("SIGKILL");
};
process.on("exit", stopLoops);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

for (let run = 1; run <= runs; run++) {
  console.log(`slowed run ${run} of ${runs}`);
  const child = spawn(command, [...before, join(root, "scripts", "test.js"), ...args], { cwd: root, stdio: "inherit" });
  const code = await new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
  if (code !== 0) {
    console.error(`slowed run ${run} of ${runs} failed`);
    process.exitCode = 1;
    break;
  }
}
stopLoops();
