// `npm test`: builds what is out of date (tests start worker threads from dist/), then runs Vitest with the arguments given.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runNode } from "./run_node.js";

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const built = await runNode(["scripts/build.js"]);
process.exitCode = built !== 0 ? built : await runNode([vitest, "run", ...process.argv.slice(2)]);
