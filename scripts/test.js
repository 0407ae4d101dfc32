// `npm test`: builds what is out of date (tests start worker threads from dist/), then runs Vitest with the arguments given.
//
// GPU tests run on SwiftShader, a Vulkan device in software, where it can run; its place must be in the environment before a process
// starts. MILLRACE_GPU=real leaves the environment alone and takes what adapter the machine has.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runNode } from "./run_node.js";
import { swiftshaderEnv } from "./swiftshader.js";

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const environment = process.env.MILLRACE_GPU === "real" ? {} : await swiftshaderEnv();
Object.assign(process.env, environment);
const built = await runNode(["scripts/build.js"]);
process.exitCode = built !== 0 ? built : await runNode([vitest, "run", ...process.argv.slice(2)]);
