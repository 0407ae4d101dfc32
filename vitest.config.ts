import { configDefaults, defineConfig } from "vitest/config";

/** MILLRACE_WIDE=1 adds the tests that are too long for every run: *.wide.test.ts. */
const wide = process.env.MILLRACE_WIDE === "1";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "test/interop/**", ...(wide ? [] : ["test/**/*.wide.test.ts"])],
    // Forks, not threads: tests start worker threads of their own, load the addon and check how processes end.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    env: { MILLRACE_DEBUG: "1" },
  },
});
