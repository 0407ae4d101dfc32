import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Sink } from "../../src/handoff/sink.js";
import { MARKER_KEY } from "../../src/journal/writer_marker.js";
import type { ArrayOptions, WriterOptions } from "../../src/options.js";
import { FileSink } from "../../src/sinks/file.js";
import { fileSink } from "../../src/sinks/specs.js";
import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { type FsHook, hookedFs, osError } from "../helpers/faulty_fs.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { codeOf, failureOf } from "../helpers/outcome.js";
import { appended, contentOfFolder, differing, rowBytes, streamOn } from "../helpers/resume_stream.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { spread, spreadCalls } from "../helpers/wide.js";

/** A stream in a folder that is resumed, and goes wrong. */

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

/** Two shards side by side, three epochs of four rows deep. */
const array: ArrayOptions = {
  dtype: "uint16",
  codec: "blosc",
  dimensions: [
    { name: "t", size: null, chunk: 4, shard: 12 },
    { name: "y", size: 7, chunk: 2, shard: 4 },
    { name: "x", size: 5, chunk: 3, shard: 6 },
  ],
};

const open = (over: Partial<WriterOptions> = {}): Promise<ArrayWriter> =>
  openWriter({
    sink: fileSink(root),
    array,
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
    ...over,
  });

/** The folder's sink behind a hook. */
function hooked(hook: FsHook): WriterOptions["sink"] {
  return inlineSpec(new FileSink({ root, fs: hookedFs(hook).fs }) as Sink);
}

/** The first rows as a reader finds them now, while a writer may be at work. */
async function readRows(rows: number): Promise<Uint8Array> {
  const array = await openArray(root);
  expect(array.metadata.shape[0]).toBeGreaterThanOrEqual(rows);
  return (await array.readRegion([0, 0, 0], [rows, 7, 5])).data;
}

describe.each(spread([5, 12, 14, 16, 20], 3))("a store of %i rows that is resumed", (rows) => {
  it("can be read whole before every call of the file system", async () => {
    await streamOn({ sink: fileSink(root), array }, [appended(rows)]);
    const expected = await readRows(rows);
    let calls = 0;
    let wrong: unknown;
    const hook: FsHook = async () => {
      calls++;
      const data = await readRows(rows).catch((error) => {
        wrong ??= error;
        return expected;
      });
      if (Buffer.compare(data, expected) !== 0) wrong ??= new Error(`rows differ before call ${calls}`);
    };
    const writer = await open({ sink: hooked(hook), mode: "resume" });
    await writer.append(rowBytes(writer, rows, rows + 15));
    await writer.close();
    expect(wrong).toBeUndefined();
    expect(calls).toBeGreaterThan(30);
    expect(Buffer.compare((await readRows(rows + 15)).subarray(0, expected.length), expected)).toBe(0);
  });

  it("is left exactly as it was by a stream that is aborted before it wrote anything", async () => {
    await streamOn({ sink: fileSink(root), array }, [appended(rows)]);
    const before = await contentOfFolder(root);
    const writer = await open({ mode: "resume" });
    await writer.append(rowBytes(writer, rows, rows + 1));
    await writer.abort();
    expect(differing(await contentOfFolder(root), before)).toEqual([]);
    await streamOn({ sink: fileSink(root), array, mode: "resume" }, [appended(1)]);
  });

  it("is left exactly as it was by a stream that is aborted at any call while it opens", async () => {
    await streamOn({ sink: fileSink(root), array }, [appended(rows)]);
    const before = await contentOfFolder(root);
    let calls = 0;
    await (await open({ sink: hooked(() => void calls++), mode: "resume" })).abort();
    let refused = 0;
    for (const at of spreadCalls(calls, 10)) {
      const stop = new AbortController();
      let count = 0;
      const sink = hooked(() => {
        if (++count === at) stop.abort(new Error("enough"));
      });
      const writer = await open({ sink, mode: "resume", signal: stop.signal }).catch((error) => {
        expect(error).toMatchObject({ code: "WRITER_ABORTED" });
        refused++;
        return undefined;
      });
      await writer?.abort();
      expect(differing(await contentOfFolder(root), before), `aborted at call ${at}`).toEqual([]);
    }
    expect(refused).toBeGreaterThan(0);
  });

  it("is left readable by a stream of which any call of the file system fails", async () => {
    await streamOn({ sink: fileSink(root), array }, [appended(rows)]);
    const before = await contentOfFolder(root);
    const expected = await readRows(rows);
    const run = async (hook: FsHook): Promise<string> => {
      const writer = await open({ sink: hooked(hook), mode: "resume" }).catch((error) => error);
      if (writer instanceof Error) return (writer as Error & { code: string }).code;
      const appended = await codeOf(writer.append(rowBytes(writer, rows, rows + 15)));
      const closed = await codeOf(writer.close());
      return appended === "" ? closed : appended;
    };
    const counted = { calls: 0 };
    await run(() => void counted.calls++);
    const codes = new Set<string>();
    for (const at of spreadCalls(counted.calls, 12)) {
      await rm(root, { recursive: true });
      for (const [key, bytes] of before) {
        await mkdir(join(root, key, ".."), { recursive: true });
        await writeFile(join(root, key), bytes);
      }
      let count = 0;
      const code = await run(() => {
        if (++count === at) throw osError("EIO");
      });
      expect(["SINK_FAILED", ""], `call ${at}`).toContain(code);
      codes.add(code);
      expect(Buffer.compare(await readRows(rows), expected), `call ${at}`).toBe(0);
    }
    expect(codes).toContain("SINK_FAILED");
  });
});

it("a damaged shard where a stream goes on is found while it opens, and nothing is changed", async () => {
  await streamOn({ sink: fileSink(root), array }, [appended(17)]);
  const path = join(root, "c/1/1/0");
  const bytes = new Uint8Array(await readFile(path));
  bytes[bytes.length - 3] ^= 1;
  await writeFile(path, bytes);
  const before = await contentOfFolder(root);
  expect(await failureOf(open({ mode: "resume" }))).toMatchObject({ code: "STORE_CORRUPT" });
  expect(differing(await contentOfFolder(root), before)).toEqual([]);
});

it("at durability batch, what is copied survives a power cut before anything is promised on top of it", async () => {
  await streamOn({ sink: fileSink(root), array }, [appended(23)]);
  const { fs, log } = hookedFs();
  const sink = inlineSpec(new FileSink({ root, fs }) as Sink);
  const writer = await open({ sink, mode: "resume", durability: "batch" });
  const calls = log.map((line) => line.replaceAll(root, "ROOT"));
  for (const shard of ["ROOT/c/1/0/0.partial", "ROOT/c/1/1/0.partial"]) {
    const syncs = calls.flatMap((line, i) => (line === `file.datasync ${shard}` ? [i] : []));
    // One with each commit, of an epoch each here, and none before what it syncs.
    expect(syncs).toHaveLength(2);
    expect(syncs[1]).toBeGreaterThan(calls.lastIndexOf(`file.writev ${shard}`));
  }
  expect(calls).toContain("file.datasync ROOT/.millrace/journal.1");
  await writer.close();
});

it("a writer at work keeps another from resuming, and its store goes on", async () => {
  await streamOn({ sink: fileSink(root), array }, [appended(5)]);
  const first = await open({ mode: "resume" });
  expect(await failureOf(open({ mode: "resume" }))).toMatchObject({ code: "STORE_NOT_CLOSED" });
  await first.append(rowBytes(first, 5, 9));
  await first.close();
  const second = await open({ mode: "resume" });
  await second.append(rowBytes(second, 9, 11));
  await second.close();
  const whole = fileSink(join(folder, "whole.zarr"));
  await streamOn({ sink: whole, array }, [appended(11)]);
  expect(differing(await contentOfFolder(root), await contentOfFolder(whole.location))).toEqual([]);
});

const dist = fileURLToPath(new URL("../../dist/index.js", import.meta.url));

it.each([0, 20, 60, 120, 200])(
  "a process that is killed %i ms into a resumed stream leaves the old rows",
  async (ms) => {
    await streamOn({ sink: fileSink(root), array }, [appended(17)]);
    const expected = await readRows(17);
    const script = `
    const { fileSink, openWriter, storedArrayOptions, throttledSink } = await import(${JSON.stringify(dist)});
    const root = ${JSON.stringify(root)};
    const sink = throttledSink(fileSink(root), { latencyMs: 5 });
    const array = await storedArrayOptions(root);
    console.log("begun");
    const options = { sink, array, backend: "cpu", batchEpochs: 1, publishIntervalMs: 0 };
    const writer = await openWriter({ ...options, mode: "resume" });
    for (;;) await writer.append(new Uint16Array(35));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, ms));
    child.kill("SIGKILL");
    await ended;
    expect(Buffer.compare(await readRows(17), expected)).toBe(0);
    const left = await contentOfFolder(root);
    const again = await codeOf(open({ mode: "resume" }).then((writer) => writer.close()));
    expect(again).toBe(left.has(MARKER_KEY) ? "STORE_NOT_CLOSED" : "");
  },
);
