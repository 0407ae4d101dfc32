import { describe, expect, it } from "vitest";
import { recoverFiles } from "../../src/recover/file_recovery.js";
import type { FileSystem } from "../../src/sinks/file_system.js";
import { openArray } from "../../src/store/array_reader.js";
import { verifyStore } from "../../src/store/verify.js";
import {
  CONTENT,
  callsOf,
  cellsOf,
  checkAftermath,
  diskBefore,
  type FaultScene,
  failedAt,
  ROWS,
  runFaulty,
  tryFault,
  tryRecoveryFault,
} from "../helpers/fault_stream.js";
import type { Fault } from "../helpers/faulty_disk.js";
import { faultySink, RecordingSink, type SinkFault, type SinkMethod } from "../helpers/faulty_sink.js";
import { ROOT } from "../helpers/folder_crashes.js";
import { spread } from "../helpers/wide.js";

/**
 * A sample of disk_faults.wide.test.ts, for every run: the first and the last call of each method, and some of the
 * others.
 */

const SCENES: readonly FaultScene[] = (["create", "resume"] as const).flatMap((mode) =>
  (["shard", "batch", "none"] as const).map((durability) => ({ mode, durability })),
);

/** Every place once in a while; the numbers depend on nothing but the matrix. */
function sampleOf(cells: readonly Fault[], count: number): Fault[] {
  const step = cells.length / count;
  return Array.from({ length: Math.min(count, cells.length) }, (_, i) => cells[Math.floor((i + 0.5) * step)]);
}

describe.each(SCENES)("a stream ($mode, $durability) of which a call of the file system goes wrong", (scene) => {
  it("ends with one error that says why, and loses nothing that it had promised", async () => {
    const calls = await callsOf(scene);
    const edges = calls.filter(
      ({ method }, i) =>
        calls.findIndex((call) => call.method === method) === i ||
        calls.findLastIndex((call) => call.method === method) === i,
    );
    const cells = [...cellsOf(edges, ["EIO"]), ...sampleOf(cellsOf(calls), 24)];
    for (const cell of cells) await tryFault(scene, cell);
  });
});

it.each(SCENES.filter(({ durability }) => durability !== "none"))(
  "recovery of a stream ($mode, $durability) of which a call goes wrong can be run again",
  async (scene) => {
    const { run, calls } = await failedAt(scene, 0.6);
    for (const cell of sampleOf(cellsOf(calls), 16)) await tryRecoveryFault(run, cell);
  },
);

describe("a sync that failed", () => {
  /** What must not be done: once more, and it succeeds. */
  const again = (fs: FileSystem): FileSystem => ({
    ...bound(fs),
    async open(path, flags) {
      const file = await fs.open(path, flags);
      return { ...file, datasync: () => file.datasync().catch(() => file.datasync()) };
    },
  });
  const bound = (fs: FileSystem): FileSystem => ({
    open: (path, flags) => fs.open(path, flags),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(path),
    mkdir: (path) => fs.mkdir(path),
    mkdirAll: (path) => fs.mkdirAll(path),
    rmdir: (path) => fs.rmdir(path),
    removeTree: (path) => fs.removeTree(path),
    kindOf: (path) => fs.kindOf(path),
    entries: (path) => fs.entries(path),
    realpath: (path) => fs.realpath(path),
  });

  it.each(["shard", "batch"] as const)(
    "is never tried again (%s): what it covered would be lost, and is seen here",
    async (durability) => {
      const scene: FaultScene = { mode: "create", durability };
      const syncs = (await callsOf(scene)).filter(
        ({ method, path }) => method === "file.datasync" && path.endsWith(".partial"),
      );
      expect(syncs.length).toBeGreaterThan(3);
      for (const { index: at } of syncs) {
        expect((await tryFault(scene, { kind: "EIO", at }))?.error?.code).toBe("SINK_FAILED");
        // The matrix would find a sink that does.
        await expect(tryFault({ ...scene, wrapFs: again }, { kind: "EIO", at }), `sync at call ${at}`).rejects.toThrow(
          /EIO at call/,
        );
      }
    },
  );
});

/** Only of those half can be done. */
const WITH_BYTES: readonly SinkMethod[] = ["write", "seal", "putObject", "journal.append"];
const METHODS: readonly SinkMethod[] = [
  "open",
  "openShard",
  "write",
  "sync",
  "seal",
  "putObject",
  "close",
  "journal.begin",
  "journal.open",
  "journal.append",
  "journal.remove",
  "journal.clear",
];

describe.each(SCENES.filter(({ durability }) => durability !== "none"))(
  "a sink with a journal ($mode, $durability)",
  (scene) => {
    it.each(METHODS)("goes wrong at calls of %s, and nothing is lost", async (method) => {
      for (const action of ["fail", "short", "delay", "reorder"] as const) {
        if (action === "short" && !WITH_BYTES.includes(method)) continue;
        for (const nth of spread([1, 2, 3, 5, 8], 3)) {
          let recording: RecordingSink | undefined;
          const fault: SinkFault = { method, nth, action, ms: 2, code: "DISK_FULL" };
          const disk = await diskBefore(scene);
          const wrapSink: FaultScene["wrapSink"] = (sink) => {
            recording = new RecordingSink(faultySink(sink, [fault]));
            return recording;
          };
          const run = await runFaulty({ ...scene, wrapSink }, undefined, disk);
          const where = `${action} at call ${nth} of ${method}`;
          expect(recording?.violations, where).toEqual([]);
          const calls = recording!.events.filter((event) => event.method === method && event.phase === "start").length;
          if (calls < nth) break;
          // A journal that is not needed any more, and cannot be removed: a warning.
          const mustFail = (action === "fail" || action === "short") && method !== "journal.remove";
          expect(run.error?.code, where).toBe(mustFail ? "DISK_FULL" : undefined);
          if (mustFail) {
            await checkAftermath(run).catch((cause) => {
              throw new Error(where, { cause });
            });
          } else expect([run.durable, run.published], where).toEqual([ROWS, ROWS]);
        }
      }
    });
  },
);

describe("a call that reports success and has done nothing", () => {
  /**
   * Who finds it out first: the stream, verify, whoever reads the values, somebody after a power cut; or it does no
   * harm.
   */
  async function foundBy(scene: FaultScene, fault: Fault): Promise<string> {
    const disk = await diskBefore(scene);
    const run = await runFaulty(scene, fault, disk);
    if (run.error !== undefined) return "error";
    const files = disk.cache.files(ROOT);
    const report = await verifyStore(files);
    if (!report.ok || report.warnings.length + report.notes.length > 0) return "verify";
    if (!(await isRight(files))) return "nobody";
    const image = disk.medium.image();
    const recovered = await recoverFiles(ROOT, { force: true }, image).catch(() => undefined);
    return recovered !== undefined && (await isRight(image.files(ROOT))) ? "harmless" : "power cut";
  }

  async function isRight(files: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
    const read = await openArray(files)
      .then((array) => array.readRegion())
      .catch(() => undefined);
    return read !== undefined && Buffer.compare(read.data, CONTENT) === 0;
  }

  it("is found out where it can be", async () => {
    const scene: FaultScene = { mode: "create", durability: "shard" };
    const calls = await callsOf(scene);
    const found: Record<string, string[]> = {};
    for (const cell of cellsOf(calls, ["lie"])) {
      const { method, path } = calls[cell.at - 1];
      const what = `${method} ${/journal|writer|\.partial|zarr\.json/.exec(path)?.[0] ?? "folder"}`;
      const by = await foundBy(scene, cell);
      found[what] = [...new Set([...(found[what] ?? []), by])].sort();
    }
    expect(found).toEqual({
      "mkdirAll folder": ["error"],
      "mkdir folder": ["error"],
      // Chunks of codec "none" carry no checksum; an index does, and so do the other codecs' chunks.
      "file.writev .partial": ["nobody", "verify"],
      "rename .partial": ["verify"],
      "file.writev zarr.json": ["harmless", "verify"],
      "rename zarr.json": ["harmless", "verify"],
      "unlink journal": ["harmless", "verify"],
      "unlink writer": ["verify"],
      "rmdir folder": ["harmless"],
      // What only a crash would ask for.
      "file.writev journal": ["harmless"],
      "file.writev writer": ["harmless"],
      // What only a power cut would ask for.
      "file.datasync .partial": ["power cut"],
      "file.sync folder": ["harmless", "power cut"],
      "file.datasync zarr.json": ["harmless", "power cut"],
      "file.datasync journal": ["harmless"],
      "file.datasync writer": ["harmless"],
    });
  });
});
