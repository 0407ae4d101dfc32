import { writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  decodeMarker,
  encodeMarker,
  parseJournalName,
  type WriterProcess,
} from "../../../src/journal/writer_marker.js";
import { isAtWork, thisProcess } from "../../../src/journal/writer_process.js";
import { FileSink } from "../../../src/sinks/file.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { type FsHook, hookedFs, osError } from "../../helpers/faulty_fs.js";
import { filesBelow, makeTempFolder, readIfThere, removeFolder } from "../../helpers/temp_folder.js";

let folder: string;
let root: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
});
afterEach(() => removeFolder(folder));

async function begun(hook?: FsHook, durable = true) {
  const hooked = hookedFs(hook);
  const sink = new FileSink({ root, fs: hooked.fs });
  await sink.open("create");
  await sink.journal.begin("an id", durable);
  const short = () => hooked.log.map((line) => line.replaceAll(root, "ROOT").replaceAll(folder, "TOP"));
  return { sink, hooked, short };
}

const visits = (path: string) => [`open ${path}`, `file.sync ${path}`, `file.close ${path}`];

describe("the journal of a file sink, the order of calls", () => {
  it("begin: the marker is on the medium, with every name above it, before anything else", async () => {
    const { sink, short } = await begun();
    const marker = "ROOT/.millrace/writer.json";
    expect(short().slice(-14)).toEqual([
      "mkdir ROOT/.millrace",
      ...["open", "file.writev", "file.datasync", "file.close"].map((call) => `${call} ${marker}`),
      ...visits("ROOT/.millrace"),
      ...visits("ROOT"),
      ...visits("TOP"),
    ]);
    await sink.journal.clear(true);
    await sink.close();
  });

  it("append: the file, and its name the first time, where it is to be durable", async () => {
    const { sink, hooked, short } = await begun();
    const file = await sink.journal.open("journal.0");
    hooked.log.length = 0;
    await file.append(coordinateBytes(0, 10), false);
    await file.append(coordinateBytes(0, 10), true);
    await file.append(coordinateBytes(0, 10), true);
    const path = "ROOT/.millrace/journal.0";
    const write = `file.writev ${path}`;
    const sync = `file.datasync ${path}`;
    expect(short()).toEqual([write, write, sync, ...visits("ROOT/.millrace"), write, sync]);
    await sink.journal.clear(true);
    await sink.close();
  });

  it("sync of a shard: its data, then the first time every folder whose names are new", async () => {
    const { sink, hooked, short } = await begun();
    const shard = await sink.openShard("c/0/1", { maxBytes: 1000, synced: true });
    await shard.write([coordinateBytes(0, 10)]);
    hooked.log.length = 0;
    await shard.sync?.();
    await shard.sync?.();
    const sync = "file.datasync ROOT/c/0/1.partial";
    expect(short()).toEqual([sync, ...visits("ROOT/c/0"), ...visits("ROOT/c"), ...visits("ROOT"), sync]);
    await shard.abandon(false);
    await sink.journal.clear(true);
    await sink.close();
  });

  it("clear: the journals, their folder, the marker, and the folder away", async () => {
    const { sink, hooked, short } = await begun();
    for (const name of ["journal.0", "journal.1"]) await (await sink.journal.open(name)).close();
    hooked.log.length = 0;
    await sink.journal.clear(true);
    expect(short()).toEqual([
      "entries ROOT/.millrace",
      "unlink ROOT/.millrace/journal.0",
      "unlink ROOT/.millrace/journal.1",
      ...visits("ROOT/.millrace"),
      "unlink ROOT/.millrace/writer.json",
      "rmdir ROOT/.millrace",
    ]);
    hooked.log.length = 0;
    await sink.close();
    expect(short()).toEqual([]);
    expect(hooked.openHandles).toBe(0);
  });

  it("syncs nothing where nothing is to be durable", async () => {
    const { sink, hooked } = await begun(undefined, false);
    await (await sink.journal.open("journal.0")).append(coordinateBytes(0, 10), false);
    await sink.journal.clear(false);
    await sink.close();
    expect(hooked.log.filter((line) => line.includes("sync"))).toEqual([]);
  });
});

describe("the journal of a file sink, failures", () => {
  it.each(["file.writev", "file.datasync", "file.sync"] as const)("a failed %s sticks to its file", async (call) => {
    let armed = false;
    const { sink, hooked } = await begun((name) => {
      if (armed && name === call) throw osError("EIO");
    });
    const file = await sink.journal.open("journal.0");
    armed = true;
    await expect(file.append(coordinateBytes(0, 10), true)).rejects.toMatchObject({ code: "SINK_FAILED" });
    armed = false;
    hooked.log.length = 0;
    await expect(file.append(coordinateBytes(0, 10), true)).rejects.toMatchObject({ code: "SINK_FAILED" });
    expect(hooked.log).toEqual([]);
    await sink.close();
    expect(hooked.openHandles).toBe(0);
  });

  it("a marker that cannot be written leaves nothing that looks like one", async () => {
    const hooked = hookedFs((call, _, path) => {
      if (call === "file.writev" && path.endsWith("writer.json")) throw osError("ENOSPC");
    });
    const sink = new FileSink({ root, fs: hooked.fs });
    await sink.open("create");
    await expect(sink.journal.begin("an id", true)).rejects.toMatchObject({ code: "DISK_FULL" });
    await sink.close();
    expect(await filesBelow(root)).toEqual([]);
    expect(hooked.openHandles).toBe(0);
  });

  it("leaves what is not its own", async () => {
    const { sink, hooked } = await begun();
    await hooked.fs.mkdir(join(root, ".millrace", "mine"));
    await sink.journal.clear(true);
    await sink.close();
    expect(await hooked.fs.entries(join(root, ".millrace"))).toEqual([{ name: "mine", isFolder: true }]);
  });
});

describe("a marker", () => {
  const writer: WriterProcess = { host: "scope-3", pid: 4711, processStart: "0aa1 912", ended: false };
  const marker = { writeId: "an id", started: "2026-01-02T03:04:05.000Z" };

  it("reads back, with its process or without", () => {
    for (const given of [
      marker,
      { ...marker, endsAt: 7 },
      { ...marker, writer },
      { ...marker, writer: { ...writer, processStart: undefined } },
    ]) {
      expect(decodeMarker(encodeMarker(given))).toEqual({ endsAt: undefined, ...given });
    }
  });

  it("is as long once its writer has ended", () => {
    const ended = encodeMarker({ ...marker, writer: { ...writer, ended: true } });
    expect(ended.byteLength).toBe(encodeMarker({ ...marker, writer }).byteLength);
    expect(decodeMarker(ended)?.writer?.ended).toBe(true);
  });

  it("is none where a word of it is missing or of another kind", () => {
    const document = { format: 1, ...marker, ...writer };
    for (const wrong of [
      { format: 2 },
      { writeId: 1 },
      { started: null },
      { endsAt: -1 },
      { pid: "1" },
      { ended: "no" },
      { processStart: 5 },
    ]) {
      expect(decodeMarker(Buffer.from(JSON.stringify({ ...document, ...wrong })))).toBeUndefined();
    }
    for (const text of ["", "[]", "{", "\0\0\0"]) expect(decodeMarker(Buffer.from(text))).toBeUndefined();
  });

  it("on disk says so when its writer ends without clearing it", async () => {
    const { sink } = await begun();
    const read = async () => decodeMarker((await readIfThere(join(root, ".millrace/writer.json")))!)?.writer;
    expect(await isAtWork((await read())!)).toBe(true);
    await sink.close();
    expect(await isAtWork((await read())!)).toBe(false);
  });
});

describe("overwriting a store", () => {
  const overwrite = async (hook?: FsHook) => {
    const next = new FileSink({ root, fs: hookedFs(hook).fs });
    await next.open("overwrite");
    await next.close();
  };

  it("is refused while its writer is at work, and changes nothing", async () => {
    const { sink } = await begun();
    await sink.putObject("zarr.json", coordinateBytes(0, 10), false);
    const before = await filesBelow(root);
    await expect(overwrite()).rejects.toMatchObject({
      code: "STORE_IN_USE",
      context: { path: root, pid: process.pid, host: hostname() },
      hint: expect.stringContaining("Close or abort it first"),
    });
    expect(await filesBelow(root)).toEqual(before);
    await sink.close();
    await overwrite();
    expect(await filesBelow(root)).toEqual([]);
  });

  it("does not look past a marker that cannot be read, and takes one that says nothing for none", async () => {
    const { sink } = await begun();
    await sink.close();
    const marker = join(root, ".millrace/writer.json");
    const deaf: FsHook = (call, _, path) => {
      if (call === "file.read" && path === marker) throw osError("EIO", "read");
    };
    await expect(overwrite(deaf)).rejects.toMatchObject({ code: "SINK_FAILED", context: { path: marker } });
    expect(await filesBelow(root)).toEqual([".millrace/writer.json"]);
    await writeFile(marker, "{ torn");
    await overwrite();
    expect(await filesBelow(root)).toEqual([]);
  });
});

describe("a writer", () => {
  it("is at work while its process lives, and only that process", async () => {
    const here = await thisProcess();
    expect(here).toMatchObject({ host: hostname(), pid: process.pid, ended: false });
    expect(await isAtWork(here)).toBe(true);
    expect(await isAtWork({ ...here, processStart: undefined })).toBe(true);
    expect(await isAtWork({ ...here, ended: true })).toBe(false);
    expect(await isAtWork({ ...here, host: `not-${here.host}` })).toBe(false);
    // Beyond the largest number that Linux gives out.
    expect(await isAtWork({ ...here, pid: 2 ** 22 + 1 })).toBe(false);
    if (here.processStart !== undefined) expect(await isAtWork({ ...here, processStart: "another" })).toBe(false);
  });
});

it("names of journals are read as they are written", () => {
  expect(
    ["journal.0", "journal.17", "journal.017", "journal.-1", "journal.", "writer.json", "journal.1.tmp"].map(
      parseJournalName,
    ),
  ).toEqual([0, 17, ...Array(5).fill(undefined)]);
});
