// Times of single kernels and a check of their output, as one line of JSON, where the build has them:
// dist/gpu/bench_kernels.js with `benchKernels({ allowSoftwareAdapter, log })`. A process of its own, as for the
// adapter.
import { existsSync } from "node:fs";

const module = new URL("../../dist/gpu/bench_kernels.js", import.meta.url);
const { benchKernels } = existsSync(module) ? await import(module.href) : {};
let found;
if (typeof benchKernels !== "function") found = { absent: "not in this build" };
else {
  try {
    found = await benchKernels({
      allowSoftwareAdapter: process.argv.includes("--allow-software-adapter"),
      log: (text) => process.stderr.write(`kernels: ${text}\n`),
    });
  } catch (error) {
    process.stderr.write(`${error.stack ?? error}\n`);
    found = { error: { code: error.code ?? "INTERNAL", message: String(error.message ?? error).split("\n")[0] } };
  }
}
process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit(0));
