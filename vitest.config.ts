import zlib from "node:zlib";
import { configDefaults, defineConfig } from "vitest/config";
import { PATIENCE_MS } from "./test/helpers/patience.js";

/** Tests about zstd itself: they need something that writes it, which Node 20 without zstd-napi has not. */
const ABOUT_ZSTD = [
  "test/unit/codec/{codec,decode,libzstd,zstd_frame}.test.ts",
  "test/unit/store/{array_reader,file_store,verify,verify_*,zarrita}.test.ts",
];
const hasZstd =
  "zstdCompressSync" in zlib ||
  (await import("zstd-napi/binding.js").then(
    () => true,
    () => false,
  ));
if (!hasZstd) console.warn(`millrace: nothing here writes zstd; left out: ${ABOUT_ZSTD.join(", ")}`);

/** MILLRACE_WIDE=1 adds the tests that are too long for every run: *.wide.test.ts. */
const wide = process.env.MILLRACE_WIDE === "1";

if (process.argv.some((argument) => argument.startsWith("--exclude"))) {
  throw new Error("Vitest's --exclude reaches no project: give --exclude=GLOB to scripts/test.js (npm test --)");
}
const exclude = [
  ...configDefaults.exclude,
  ...JSON.parse(process.env.MILLRACE_TEST_EXCLUDE ?? "[]"),
  "test/interop/**",
  ...(wide ? [] : ["test/**/*.wide.test.ts"]),
  ...(hasZstd ? [] : ABOUT_ZSTD),
];
/**
 * Tests of single modules: starting a process and loading the modules for each of 125 files took longer than many do.
 */
const UNIT = "test/unit/**/*.test.ts";

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        // Files share processes and modules; leave_no_trace holds each to what it found.
        test: {
          name: "unit",
          include: [UNIT],
          exclude,
          isolate: false,
          setupFiles: ["test/helpers/leave_no_trace.ts"],
        },
      },
      { extends: true, test: { name: "whole", include: ["test/**/*.test.ts"], exclude: [...exclude, UNIT] } },
    ],
    // Forks, not threads: tests start worker threads of their own, load the addon and check how processes end.
    pool: "forks",
    // One more than the cores of a small machine: some tests wait for a server or another process most of the time.
    maxWorkers: 3,
    // Compiled modules as Node loads them, without a transformation.
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: PATIENCE_MS,
    hookTimeout: PATIENCE_MS,
    // The AWS SDK says on stderr until when it supports this Node.
    env: { MILLRACE_DEBUG: "1", AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  },
});
