/**
 * Links, pipes and other people's files where a store keeps its own: recovery and writers end with a code, and nothing
 * outside the store's folder changes.
 */
import { execFileSync } from "node:child_process";
import { link, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readJournal } from "../../../src/journal/read_journal.js";
import { journalKey } from "../../../src/journal/writer_marker.js";
import type { ArrayOptions } from "../../../src/options.js";
import { recoverFiles } from "../../../src/recover/file_recovery.js";
import { SHARD_COPY_KEY } from "../../../src/recover/recovery_files.js";
import { FileSink } from "../../../src/sinks/file.js";
import { fileSink } from "../../../src/sinks/specs.js";
import { openArray } from "../../../src/store/array_reader.js";
import { openWriter } from "../../../src/writer/open_writer.js";
import { crashFolder, ROOT } from "../../helpers/folder_crashes.js";
import { elementBytes } from "../../helpers/stream_model.js";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

const ARRAY: ArrayOptions = {
  dtype: "uint16",
  codec: "none",
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 6, chunk: 2, shard: 4 },
  ],
};
const content = (rows: number): Uint8Array => elementBytes(0, rows * 6, 2);

/** A store with two rows of shards sealed and one begun; only the first shape is published. */
let crashed: ReadonlyMap<string, Uint8Array>;
/** The same after a clean close. */
let closed: ReadonlyMap<string, Uint8Array>;
let folder: string;
let root: string;
let outside: string;

beforeAll(async () => {
  const stream = { array: ARRAY, batchEpochs: 1, publishIntervalMs: 1e9 };
  const { images } = await crashFolder(stream, async (writer) => {
    await writer.append(content(10));
    return content(10);
  });
  // Committed, and still without an index.
  const isCommitted = (journal?: Uint8Array) => journal !== undefined && readJournal(journal).commits.length > 0;
  crashed = images.find(({ fs }) => isCommitted(fs.files(ROOT).get(journalKey(2))))!.fs.files(ROOT);
  closed = images.at(-1)!.fs.files(ROOT);
});
beforeEach(async () => {
  folder = await makeTempFolder();
  root = join(folder, "run.zarr");
  outside = join(folder, "outside");
  for (const name of ["letter.txt", "journal.txt", "0/0", "0/7", "9/1", "0.partial"]) {
    await mkdir(dirname(join(outside, name)), { recursive: true });
    await writeFile(join(outside, name), `somebody's ${name}`);
  }
});
afterEach(() => removeFolder(folder));

async function lay(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [key, bytes] of files) {
    await mkdir(dirname(join(root, key)), { recursive: true });
    await writeFile(join(root, key), bytes);
  }
}

/** Everything in a folder: paths, kinds, bytes, where links lead. Pipes are not opened. */
async function tree(path: string, into: string[] = []): Promise<string[]> {
  const found = await lstat(path);
  if (found.isDirectory()) {
    into.push(`${path}/`);
    for (const name of (await readdir(path)).sort()) await tree(join(path, name), into);
  } else if (found.isSymbolicLink()) into.push(`${path} -> ${await readlink(path)}`);
  else if (found.isFile()) into.push(`${path} ${await readFile(path, "hex")}`);
  else into.push(`${path} pipe`);
  return into;
}

async function replace(key: string, put: (path: string) => Promise<void> | void): Promise<void> {
  await rm(join(root, key), { recursive: true, force: true });
  await put(join(root, key));
}

const linkTo = (target: string) => (path: string) => symlink(target, path);
const pipe = (path: string) => void execFileSync("mkfifo", [path]);

const options = (mode: "resume" | "overwrite") =>
  ({ sink: fileSink(root), mode, array: ARRAY, threads: "inline", backend: "cpu" }) as const;

describe.skipIf(process.platform === "win32")("recovery", () => {
  const places: [string, string][] = [
    [".millrace", "."],
    [".millrace/writer.json", "letter.txt"],
    [".millrace/journal.2", "journal.txt"],
    ["c", "."],
    ["c/2", "0"],
    ["c/2/0.partial", "0.partial"],
  ];

  it.each(places)("leaves what a link at %s leads to", async (key, target) => {
    await lay(crashed);
    // The right bytes, elsewhere: somebody has moved a shard to another disk.
    if (key === "c/2/0.partial") await writeFile(join(outside, target), crashed.get(key)!);
    await replace(key, linkTo(join(outside, target)));
    const before = await tree(outside);
    const outcome = recoverFiles(root, { force: true, discardDamaged: true });
    if (key.endsWith("writer.json")) await outcome;
    else await expect(outcome).rejects.toMatchObject({ code: "STORE_FOREIGN" });
    expect(await tree(outside)).toEqual(before);
  });

  it("removes a link to other bytes in the place of a shard, and not the bytes", async () => {
    await lay(crashed);
    await replace("c/2/0.partial", linkTo(join(outside, "0.partial")));
    const before = await tree(outside);
    expect(await recoverFiles(root, { force: true })).toMatchObject({ status: "recovered" });
    expect(await tree(outside)).toEqual(before);
  });

  it("replaces a link or a pipe at zarr.json.tmp, its own name", async () => {
    for (const put of [linkTo(join(outside, "letter.txt")), linkTo(join(outside, "nowhere")), pipe]) {
      await replace("", () => lay(crashed));
      await replace("zarr.json.tmp", put);
      const before = await tree(outside);
      expect(await recoverFiles(root, { force: true })).toMatchObject({ status: "recovered" });
      expect(await tree(outside)).toEqual(before);
    }
  });

  it.each(["zarr.json", ".millrace/writer.json", ".millrace/journal.2", "c/2/0.partial"])(
    "ends with a code at a pipe as %s, and changes nothing",
    async (key) => {
      await lay(crashed);
      await replace(key, pipe);
      const before = await tree(folder);
      for (const dryRun of [true, false]) {
        await expect(recoverFiles(root, { force: true, dryRun })).rejects.toMatchObject({ code: "STORE_FOREIGN" });
      }
      expect(await tree(folder)).toEqual(before);
    },
  );
});

describe.skipIf(process.platform === "win32")("a snapshot made of links", () => {
  /** As `cp -al` makes it. */
  async function snapshot(files: ReadonlyMap<string, Uint8Array>): Promise<string> {
    await lay(files);
    const place = join(folder, "snapshot.zarr");
    for (const key of files.keys()) {
      await mkdir(dirname(join(place, key)), { recursive: true });
      await link(join(root, key), join(place, key));
    }
    return place;
  }

  it("stays as it was when the store is recovered, and again when the recovery before was interrupted", async () => {
    for (const interrupted of [false, true]) {
      await rm(join(folder, "snapshot.zarr"), { recursive: true, force: true });
      await replace("", async () => {});
      const place = await snapshot(crashed);
      if (interrupted) await writeFile(join(root, SHARD_COPY_KEY), "half a shard");
      const before = await tree(place);
      expect(await recoverFiles(root, { force: true })).toMatchObject({ status: "recovered" });
      expect(await tree(place)).toEqual(before);
      expect(await readdir(root)).not.toContain(".millrace");
      const recovered = (await openArray(root)).readRegion();
      expect(Buffer.compare((await recovered).data, content(10))).toBe(0);
      // From the snapshot the same comes out.
      expect(await recoverFiles(place, { force: true })).toMatchObject({ status: "recovered" });
    }
  });

  it("stays as it was when a writer goes on in the store", async () => {
    const place = await snapshot(closed);
    const before = await tree(place);
    const writer = await openWriter(options("resume"));
    await writer.append(content(4));
    await writer.close();
    expect(await tree(place)).toEqual(before);
  });
});

describe.skipIf(process.platform === "win32")("a writer", () => {
  it.each([
    [".millrace", "."],
    ["c", "."],
  ])("does not go on through a link at %s", async (key, target) => {
    await lay(closed);
    if (key === "c") await rename(join(root, "c"), join(folder, "moved"));
    await replace(key, linkTo(key === "c" ? join(folder, "moved") : join(outside, target)));
    const around = async () => [await tree(outside), key === "c" ? await tree(join(folder, "moved")) : []];
    const before = await around();
    const stream = async () => {
      const writer = await openWriter(options("resume"));
      await writer.append(content(20));
      await writer.close();
    };
    await expect(stream()).rejects.toMatchObject({ code: "STORE_FOREIGN" });
    expect(await around()).toEqual(before);
  });

  it("replaces a link or a pipe at zarr.json.tmp", async () => {
    for (const put of [linkTo(join(outside, "letter.txt")), pipe]) {
      await replace("", () => lay(closed));
      await replace("zarr.json.tmp", put);
      const before = await tree(outside);
      const writer = await openWriter(options("resume"));
      await writer.append(content(4));
      await writer.close();
      expect(await tree(outside)).toEqual(before);
    }
  });

  it("removes at its close the journals alone, whatever else lies beside them", async () => {
    const sink = new FileSink({ root });
    await sink.open("create");
    await sink.journal.begin("an id", false);
    await (await sink.journal.open("journal.0")).append(content(1), false);
    const others = ["letter.txt", "journal", "journal.txt", "journal.01"];
    for (const name of others) await writeFile(join(root, ".millrace", name), name);
    await sink.journal.clear(true);
    await sink.close();
    expect((await readdir(join(root, ".millrace"))).sort()).toEqual([...others].sort());
  });

  it("ends with a code where an overwrite meets a pipe as the marker", async () => {
    await lay(closed);
    await mkdir(join(root, ".millrace"));
    pipe(join(root, ".millrace/writer.json"));
    await expect(openWriter(options("overwrite"))).rejects.toMatchObject({ code: "STORE_FOREIGN" });
  });
});
