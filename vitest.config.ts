import zlib from "node:zlib";
import { configDefaults, defineConfig } from "vitest/config";

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

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [
      ...configDefaults.exclude,
      "test/interop/**",
      ...(wide ? [] : ["test/**/*.wide.test.ts"]),
      ...(hasZstd ? [] : ABOUT_ZSTD),
    ],
    // Forks, not threads: tests start worker threads of their own, load the addon and check how processes end.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    env: { MILLRACE_DEBUG: "1" },
  },
});
