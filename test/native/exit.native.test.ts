import { describe, expect, test } from "vitest";
import { hasAddon, runProgram, workerSource } from "./addon_fixture.js";

// How a process ends while native threads work. A crash shows as a signal name (SIGSEGV, SIGABRT) in place of the code.
// Each runs several times: these are races.
const ROUNDS = 4;

async function expectExit(source: string, code: number, nodeArgs: readonly string[] = []): Promise<string> {
  let stdout = "";
  for (let round = 0; round < ROUNDS; round++) {
    const result = await runProgram(source, nodeArgs);
    expect({ code: result.code, stderr: code === 0 ? result.stderr : "" }).toEqual({ code, stderr: "" });
    stdout = result.stdout;
  }
  return stdout;
}

/** Two threads are busy for seconds with this. */
const LONG_WORK = "startWork(500, 24)";

describe.runIf(hasAddon)("the end of a process or thread with native work under way", () => {
  test("process.exit on the thread that owns the pool", async () => {
    await expectExit(`${LONG_WORK}; setTimeout(() => process.exit(7), 20);`, 7);
    await expectExit(`${LONG_WORK}; process.exit(7);`, 7);
  });

  test("process.exit on the main thread while a worker owns the pool", async () => {
    const source = `
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(${workerSource(`${LONG_WORK}; parentPort.postMessage("busy");`)}, { eval: true });
      worker.on("message", () => process.exit(5));`;
    await expectExit(source, 5);
  });

  test("process.exit inside the worker, and terminate from outside; the program goes on", async () => {
    const source = (ending: string, onMessage: string) => `
      const { Worker } = require("node:worker_threads");
      const source = ${workerSource(`${LONG_WORK}; parentPort.postMessage("busy"); ${ending}`)};
      const worker = new Worker(source, { eval: true });
      worker.on("message", () => { ${onMessage} });
      worker.on("exit", () => {
        startWork(1, 2, (error) => console.log(error === null ? "went on" : error.message));
      });`;
    expect(await expectExit(source("setTimeout(() => process.exit(0), 10);", ""), 0)).toBe("went on\n");
    expect(await expectExit(source("", "worker.terminate();"), 0)).toBe("went on\n");
  });

  test("a worker ends while another thread's pool reads its memory", async () => {
    // The worker's region goes only when the main thread's jobs let go of it.
    const source = `
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(${workerSource(`
        const ids = [1, 1].map(() => addon.regionAdd(new Uint8Array(32 * 2 ** 20)));
        parentPort.postMessage(ids);
        parentPort.once("message", () => process.exit(0));
      `)}, { eval: true });
      const pool = addon.encodePoolCreate(2);
      const sizes = addon.regionAdd(new Uint8Array(4));
      worker.on("message", ([srcRegion, dstRegion]) => {
        const gather = addon.gatherCreate({
          itemBytes: 1, chunkShape: Uint32Array.of(32 * 2 ** 20), srcStrides: Float64Array.of(1),
          fill: new Uint8Array(1),
        });
        const job = {
          gather, srcRegion, dstRegion, sizesRegion: sizes, sizesOffset: 0, chunkCount: 1,
          srcOffsets: new Float64Array(1), dstOffsets: new Float64Array(1), extents: Uint32Array.of(32 * 2 ** 20),
          dstCapacityBytes: 32 * 2 ** 20, codec: 0,
        };
        let left = 10;
        const done = (error) => { if (error !== null) throw error; left--; };
        for (let i = 0; i < 10; i++) addon.encodePoolSubmit(pool, job, done);
        worker.postMessage("end");
        worker.on("exit", () => {
          let code = "";
          try { addon.regionBytes(srcRegion); } catch (error) { code = error.code; }
          console.log(code);
          addon.encodePoolClose(pool, () => console.log(left));
        });
      });`;
    expect(await expectExit(source, 0)).toBe("NATIVE_REGION_UNKNOWN\n0\n");
  });

  test("an idle pool, copy helpers and regions keep no process alive", async () => {
    await expectExit("startWork(1, 1); addon.copyStart(3); addon.encodePoolCreate(4);", 0);
  });

  test("jobs under way do keep it alive until they have called back", async () => {
    expect(await expectExit(`let n = 0; startWork(20, 4, () => { if (++n === 20) console.log("all"); });`, 0)).toBe(
      "all\n",
    );
  });

  test("an exception in a callback is uncaught, not swallowed", async () => {
    const thrown = await runProgram(`startWork(1, 1, () => { throw new Error("from done"); });`);
    expect(thrown.code).toBe(1);
    expect(thrown.stderr).toContain("from done");
    expect(
      await expectExit(
        `process.on("uncaughtException", (error) => console.log(error.message)); ` +
          `startWork(1, 1, () => { throw new Error("caught"); });`,
        0,
      ),
    ).toBe("caught\n");
  });

  test("process.exit while a direct append runs", async () => {
    const source = `
      const { mkdtempSync, rmSync } = require("node:fs");
      const folder = mkdtempSync(require("node:path").join(require("node:os").tmpdir(), "millrace-exit-"));
      process.on("exit", () => rmSync(folder, { recursive: true }));
      try {
        const file = addon.directOpen(folder + "/file");
        addon.directAppend(file, [Buffer.alloc(64 * 2 ** 20, 1)], () => {});
      } catch (error) {
        if (error.code !== "NATIVE_DIRECT_UNSUPPORTED") throw error;
      }
      setTimeout(() => process.exit(3), 5);`;
    await expectExit(source, 3);
  });

  test("handles that are garbage collected while their work runs", async () => {
    const source = `
      const { pool } = startWork(5, 4, (error) => { if (error !== null) throw error; console.log("done"); });
      for (let i = 0; i < 2000; i++) {
        addon.gatherCreate({
          itemBytes: 1, chunkShape: Uint32Array.of(9), srcStrides: Float64Array.of(1), fill: new Uint8Array(1),
        });
      }
      setImmediate(() => { gc(); setImmediate(gc); });`;
    expect(await expectExit(source, 0, ["--expose-gc"])).toBe("done\n".repeat(5));
  });
});
