import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as zarr from "zarrita";
import type { SinkSpec } from "../../../src/handoff/sink.js";
import { makeSink } from "../../../src/sinks/make_sink.js";
import { memorySink } from "../../../src/sinks/specs.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { PATIENCE_MS } from "../../helpers/patience.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";
import { transpileSrc } from "../../helpers/transpile_src.js";

const make = (spec: SinkSpec) => makeSink(spec.kind, spec.options, spec.location);
const INDEX = coordinateBytes(1, 20);

describe("memorySink", () => {
  it("shows a shard in the same turn in which its seal resolves", async () => {
    const spec = memorySink();
    const sink = await make(spec);
    await sink.open("create");
    const shard = await sink.openShard("c/0", { maxBytes: 100 });
    await shard.seal(INDEX, true);
    expect(spec.files.get("c/0")).toEqual(INDEX);
    await sink.close();
  });

  it("is for one writer at a time, and for the next one after it", async () => {
    const spec = memorySink();
    const first = await make(spec);
    expect(spec.options.port).toBe(spec.options.port);
    await first.open("create");
    await first.putObject("zarr.json", INDEX, false);

    const second = await make(spec);
    await expect(second.open("overwrite")).rejects.toMatchObject({
      code: "INVALID_OPTION",
      context: { option: "sink" },
    });
    expect([...spec.files.keys()]).toEqual(["zarr.json"]);
    await first.close();

    const third = await make(spec);
    await expect(third.open("create")).rejects.toMatchObject({ code: "STORE_EXISTS" });
    await third.open("overwrite");
    expect(spec.files.size).toBe(0);
    await third.close();
  });

  it("answers gets and ranges as a zarrita store does", async () => {
    const spec = memorySink();
    spec.files.set("c/0", coordinateBytes(3, 100));
    const all = coordinateBytes(3, 100);
    expect(await spec.get("/c/0")).toEqual(all);
    expect(await spec.get("c/0")).toEqual(all);
    expect(await spec.get("/c/1")).toBeUndefined();
    expect(await spec.getRange("/c/0", { offset: 10, length: 5 })).toEqual(all.subarray(10, 15));
    expect(await spec.getRange("/c/0", { suffixLength: 7 })).toEqual(all.subarray(93));
    expect(await spec.getRange("/c/0", { suffixLength: 700 })).toEqual(all);
    expect(await spec.getRange("/c/1", { suffixLength: 7 })).toBeUndefined();
  });

  it("is read by zarrita, shards included", async () => {
    const spec = memorySink();
    const sink = await make(spec);
    await sink.open("create");
    const metadata = {
      zarr_format: 3,
      node_type: "array",
      shape: [4],
      data_type: "uint16",
      chunk_grid: { name: "regular", configuration: { chunk_shape: [4] } },
      chunk_key_encoding: { name: "default", configuration: { separator: "/" } },
      fill_value: 0,
      codecs: [
        {
          name: "sharding_indexed",
          configuration: {
            chunk_shape: [2],
            codecs: [{ name: "bytes", configuration: { endian: "little" } }],
            index_codecs: [{ name: "bytes", configuration: { endian: "little" } }],
            index_location: "end",
          },
        },
      ],
      attributes: {},
    };
    await sink.putObject("zarr.json", new TextEncoder().encode(JSON.stringify(metadata)), false);
    const shard = await sink.openShard("c/0", { maxBytes: 100 });
    await shard.write([new Uint8Array(Uint16Array.of(10, 11, 12, 13).buffer)]);
    await shard.seal(new Uint8Array(BigUint64Array.of(0n, 4n, 4n, 4n).buffer), false);
    await sink.close();
    const array = await zarr.open(spec, { kind: "array" });
    expect([...((await zarr.get(array)).data as Uint16Array)]).toEqual([10, 11, 12, 13]);
  });

  it("reports it when the files' side is gone", async () => {
    const { port1, port2 } = new MessageChannel();
    const sink = await makeSink("memory", { port: port2 }, "memory");
    const opening = sink.open("create");
    port1.close();
    await expect(opening).rejects.toMatchObject({ code: "SINK_FAILED" });
    await expect(sink.putObject("x", INDEX, false)).rejects.toMatchObject({ code: "SINK_FAILED" });
    await sink.close();
  });
});

describe("memorySink and processes", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await makeTempFolder();
    await transpileSrc(["base", "sinks"], folder);
  });
  afterAll(() => removeFolder(folder));

  async function run(source: string): Promise<string> {
    const path = join(folder, "main.js");
    await writeFile(path, source);
    // A process that stays alive for an idle port runs into the timeout and fails here.
    const { stdout } = await promisify(execFile)(process.execPath, [path], { timeout: PATIENCE_MS });
    return stdout.trim();
  }

  it("crosses to a Worker, and neither end keeps a process alive when idle", async () => {
    await writeFile(
      join(folder, "worker.js"),
      `import { workerData, parentPort } from "node:worker_threads";
      import { makeSink } from "./sinks/make_sink.js";
      const sink = await makeSink(workerData.kind, workerData.options, workerData.location);
      await sink.open("create");
      const shard = await sink.openShard("c/0", { maxBytes: 100 });
      await shard.write([new Uint8Array(new SharedArrayBuffer(3)).fill(7)]);
      await shard.seal(Uint8Array.of(8, 9), true);
      parentPort.postMessage("sealed");
      // Not closed: the worker must end all the same, with nothing left to do.`,
    );
    const stdout = await run(`
      import { Worker } from "node:worker_threads";
      import { memorySink } from "./sinks/specs.js";
      const spec = memorySink();
      const { kind, options, location } = spec;
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData: { kind, options, location },
        transferList: spec.transfer,
      });
      worker.on("message", (m) => console.log(m, [...spec.files.get("c/0")].join()));
      worker.on("exit", (code) => console.log("exit", code));
    `);
    expect(stdout).toBe("sealed 7,7,7,8,9\nexit 0");
  });

  it("keeps the process alive while an answer is due, on one thread too", async () => {
    const stdout = await run(`
      import { memorySink } from "./sinks/specs.js";
      import { makeSink } from "./sinks/make_sink.js";
      const spec = memorySink();
      const sink = await makeSink(spec.kind, spec.options, spec.location);
      await sink.open("create");
      await sink.putObject("zarr.json", Uint8Array.of(1, 2), true);
      console.log([...spec.files.get("zarr.json")].join());
    `);
    expect(stdout).toBe("1,2");
  });
});
