import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { threadFailed } from "../../../src/base/thread_failed.js";
import { workerFlags } from "../../../src/base/worker_flags.js";

it("leaves everything to Node, which knows what a worker may inherit", () => {
  expect(workerFlags(["--max-old-space-size=2048", "--expose-gc", "--import", "./a.js"], {})).toEqual({});
  expect(workerFlags([], { NODE_OPTIONS: "--use-openssl-ca --no-warnings" })).toEqual({});
});

it("lists what is good for a worker where --input-type stands among the flags", () => {
  const argv = [
    "--input-type=module",
    "--expose-gc",
    "--import",
    "./a.js",
    "--import=./b.js",
    "-r",
    "./c.cjs",
    "-e",
    "1",
  ];
  expect(workerFlags(argv, {})).toEqual({ execArgv: ["--import", "./a.js", "--import=./b.js", "-r", "./c.cjs"] });
  expect(workerFlags(["--input-type", "module", "-C", "dev", "--enable-source-maps"], {})).toEqual({
    execArgv: ["-C", "dev", "--enable-source-maps"],
  });
});

it("takes --input-type out of NODE_OPTIONS too, quotes and all", () => {
  const env = { A: "1", NODE_OPTIONS: '--input-type=module --import "./with \\"space.js" --max-old-space-size=100' };
  expect(workerFlags(["--no-warnings"], env)).toEqual({
    execArgv: ["--import", './with "space.js', "--no-warnings"],
    env: { A: "1" },
  });
});

it("passes no flag that a worker of this Node refuses", async () => {
  const flags = ["--input-type=module", "--disable-warning=DEP0005", "--enable-source-maps", "--trace-warnings"];
  const worker = new Worker("require('node:worker_threads').parentPort.postMessage(process.execArgv)", {
    eval: true,
    ...workerFlags(flags, {}),
  });
  expect(await once(worker, "message")).toEqual([flags.slice(1)]);
});

it("says in the message why a thread did not start, and what to do", () => {
  const cause = Object.assign(new Error("Initiated Worker with invalid execArgv flags: --expose-gc"), {
    code: "ERR_WORKER_INVALID_EXEC_ARGV",
  });
  expect(threadFailed("the engine thread could not start", cause)).toMatchObject({
    code: "THREAD_FAILED",
    message:
      "the engine thread could not start: Initiated Worker with invalid execArgv flags: --expose-gc. " +
      "Start Node without that flag, here and in NODE_OPTIONS.",
    context: { code: "ERR_WORKER_INVALID_EXEC_ARGV" },
    cause,
  });
  expect(threadFailed("it stopped", new Error("Cannot find module '/x/engine_thread.js'")).hint).toMatch(/bundled/);
  expect(threadFailed("it stopped").message).toBe("it stopped.");
});
