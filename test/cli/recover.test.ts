import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import { fileSink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { filesBelow, makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { lastJson, type RunningCli, runCli, startCli } from "./run_cli.js";

const ROW_ELEMENTS = 1000;

let folder: string;
let store: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  store = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

/** Rows that say which they are. */
function rowsFrom(first: number, count: number): Buffer {
  const elements = Uint32Array.from({ length: count * ROW_ELEMENTS }, (_, i) => {
    const row = first + Math.floor(i / ROW_ELEMENTS);
    return row * 1_000_003 + (i % ROW_ELEMENTS);
  });
  return Buffer.from(elements.buffer);
}

/** A writer that gets rows for as long as it lives. */
function startWriter(durability: string, codec: string): RunningCli {
  const dims = `t:0:4:16,x:${ROW_ELEMENTS}:300:600`;
  const flags = ["--dtype", "uint32", "--dims", dims, "--codec", codec, "--durability", durability];
  const running = startCli([
    "write",
    store,
    ...flags,
    "--backend",
    "cpu",
    "--append-bytes",
    "5000",
    "--progress",
    "json",
  ]);
  const { stdin } = running.child;
  let row = 0;
  const feed = (): void => {
    while (!stdin!.destroyed && stdin!.writable) {
      const more = stdin!.write(rowsFrom(row, 3));
      row += 3;
      if (!more) return;
    }
  };
  stdin!.on("drain", feed);
  feed();
  return running;
}

/** Resolves once the writer has said that rows are durable; on a busy machine its first batch may take a while. */
async function sawDurable({ child, result }: RunningCli): Promise<void> {
  let said = "";
  const saw = new Promise<void>((resolve) => {
    child.stderr!.on("data", (part) => {
      said += part;
      if (/"durable":[1-9]/.test(said)) resolve();
    });
  });
  await Promise.race([saw, result.then(({ stderr }) => Promise.reject(new Error(`the writer ended: ${stderr}`)))]);
}

/** What the writer said last about its rows. */
function lastWatermarks(stderr: string): { readonly durable: number; readonly published: number } {
  const lines = stderr.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
  return lines.length === 0 ? { durable: 0, published: 0 } : JSON.parse(lines[lines.length - 1]).watermarks;
}

async function checkStore(rows: number): Promise<void> {
  expect(await verifyStore(store)).toMatchObject({ ok: true, defects: [], warnings: [] });
  const array = await openArray(store);
  expect(array.metadata.shape).toEqual([rows, ROW_ELEMENTS]);
  for (const row of [0, 1, rows >> 1, rows - 1]) {
    const { data } = await array.readRegion([row, 0], [row + 1, ROW_ELEMENTS]);
    expect(Buffer.compare(data, rowsFrom(row, 1)), `row ${row}`).toBe(0);
  }
}

describe("millrace recover", () => {
  it.each([
    ["none", "none", 0],
    ["none", "blosc", 7],
    ["shard", "none", 3],
    ["shard", "blosc", 11],
    ["batch", "none", 5],
    ["batch", "blosc", 23],
  ])("brings back what a killed writer had promised (durability %s, codec %s)", async (durability, codec, ms) => {
    const running = startWriter(durability, codec);
    const { child, result } = running;
    await sawDurable(running);
    await sleep(ms);
    child.kill("SIGKILL");
    const { code, stderr } = await result;
    expect(code).toBe(null);
    const { durable, published } = lastWatermarks(stderr);
    expect(durable).toBeGreaterThan(0);
    const before = await filesBelow(store);
    expect(before).toContain(MARKER_KEY);

    const dry = await runCli(["recover", store, "--dry-run", "--json"]);
    expect(dry.code).toBe(0);
    expect(await filesBelow(store)).toEqual(before);
    const recovered = await runCli(["recover", store, "--json"]);
    expect(recovered).toMatchObject({ code: 0, stderr: "" });
    const report = lastJson(recovered) as { arrays: { rowsAfter: number }[] };
    expect({ ...(lastJson(dry) as object), dryRun: false }).toEqual(report);
    expect(report).toMatchObject({ status: "recovered", arrays: [{ rowsLost: 0 }], notes: [] });
    const { rowsAfter } = report.arrays[0];
    expect(rowsAfter).toBeGreaterThanOrEqual(Math.max(durable, published));
    await checkStore(rowsAfter);
    expect((await filesBelow(store)).filter((name) => /millrace|partial|tmp/.test(name))).toEqual([]);
    const again = await runCli(["recover", store]);
    expect(again.code).toBe(0);
    expect(again.stdout).toContain("clean: no writer has left it open");
  });

  it("refuses while the writer runs, as an overwrite does, and with --force takes what is there", async () => {
    const { child, result, saw } = startWriter("shard", "none");
    await saw('"watermarks"');
    // Stopped, not ended: what is looked at must not change while it is.
    child.kill("SIGSTOP");
    try {
      const refused = await runCli(["recover", store, "--json"]);
      expect(refused.code).toBe(1);
      expect(lastJson(refused)).toMatchObject({ error: { code: "STORE_IN_USE", context: { pid: child.pid } } });
      const before = await filesBelow(store);
      const small = ["--dtype", "uint8", "--dims", "t:0:1,x:1:1", "--mode", "overwrite"];
      const overwrite = await runCli(["write", store, ...small, "--input", import.meta.filename, "--json"]);
      expect(overwrite.code).toBe(1);
      expect(lastJson(overwrite)).toMatchObject({ error: { code: "STORE_IN_USE", context: { pid: child.pid } } });
      expect(await filesBelow(store)).toEqual(before);
      const forced = await runCli(["recover", store, "--dry-run", "--force"]);
      expect(forced.code).toBe(0);
      expect(forced.stdout).toMatch(new RegExp(`writer .*process ${child.pid}`));
      expect(forced.stdout).not.toContain("uploads");
    } finally {
      child.kill("SIGKILL");
      child.kill("SIGCONT");
      await result;
    }
  });

  it("ends with 1 where a promised shard is gone, until the rows are given up", async () => {
    const writer = await openWriter({
      sink: fileSink(store),
      threads: "inline",
      durability: "batch",
      batchEpochs: 1,
      array: {
        dtype: "uint32",
        codec: "none",
        dimensions: [
          { name: "t", size: null, chunk: 4, shard: 16 },
          { name: "x", size: ROW_ELEMENTS, chunk: 300, shard: 600 },
        ],
      },
    });
    await writer.append(rowsFrom(0, 28));
    while (writer.watermarks.durable < 28) await sleep(1);
    await writer.abort();
    await rm(join(store, "c/1/0.partial"));

    const damaged = await runCli(["recover", store]);
    expect(damaged).toMatchObject({ code: 1, stderr: "" });
    expect(damaged.stdout).toMatch(/state {4}damaged/);
    expect(damaged.stdout).toMatch(/damage {2}c\/1\/0: chunk 0: there is no such file/);
    expect(await filesBelow(store)).toContain("c/1/1.partial");
    const discarded = await runCli(["recover", store, "--discard-damaged", "--json"]);
    expect(discarded.code).toBe(0);
    expect(lastJson(discarded)).toMatchObject({ status: "recovered", arrays: [{ rowsAfter: 16, rowsLost: 12 }] });
    await checkStore(16);
  });

  it("ends with 1 where there is no store", async () => {
    const absent = await runCli(["recover", store, "--json"]);
    expect(absent.code).toBe(1);
    expect(lastJson(absent)).toMatchObject({ error: { code: "STORE_NOT_FOUND" } });
  });
});
