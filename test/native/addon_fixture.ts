import { execFile } from "node:child_process";
import { Worker } from "node:worker_threads";
import { addonStatus, loadAddon } from "../../src/native/binding.js";
import { PATIENCE_MS } from "../helpers/patience.js";

/**
 * For `describe.runIf`. Where the addon is not built these tests are reported as skipped; MILLRACE_ADDON=require makes
 * that fail.
 */
export const addon = loadAddon()!;
export const hasAddon = addon !== undefined;
const path = addonStatus().path ?? "";

/** A typed array over shared memory whose bytes tell where they are. */
export function sharedBytes(length: number): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for (let i = 0; i < length; i++) bytes[i] = Math.imul(i, 2654435761) >>> 13;
  return bytes;
}

/** The `code` of what `call` throws; "" when it returns. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
  return "";
}

/** Source of functions that programs in other threads and processes use; `addon` is there in all of them. */
const PRELUDE = `
const addon = require(${JSON.stringify(path)});
/** Queues \`jobs\` copies of \`mib\` MiB each, cut into chunks of 1 MiB. */
function startWork(jobs, mib, done = () => {}) {
  const bytes = mib * 2 ** 20;
  const src = new Uint8Array(new SharedArrayBuffer(bytes)).fill(7);
  const dst = new Uint8Array(new SharedArrayBuffer(bytes));
  const sizes = new Uint8Array(new SharedArrayBuffer(4 * mib));
  const regions = [src, dst, sizes].map((each) => addon.regionAdd(each));
  const gather = addon.gatherCreate({
    itemBytes: 1, chunkShape: Uint32Array.of(1024, 1024), srcStrides: Float64Array.of(1024, 1), fill: new Uint8Array(1),
  });
  const offsets = Float64Array.from({ length: mib }, (_, i) => i * 2 ** 20);
  const job = {
    gather, srcRegion: regions[0], dstRegion: regions[1], sizesRegion: regions[2], sizesOffset: 0, chunkCount: mib,
    srcOffsets: offsets, dstOffsets: offsets, extents: new Uint32Array(2 * mib).fill(1024),
    dstCapacityBytes: 2 ** 20, codec: 0,
  };
  const pool = addon.encodePoolCreate(2);
  for (let i = 0; i < jobs; i++) addon.encodePoolSubmit(pool, job, done);
  return { pool, regions, src, dst };
}
`;

export interface ProgramResult {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs CommonJS source in a process of its own. A signal shows as its name in `code`. */
export function runProgram(source: string, nodeArgs: readonly string[] = []): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...nodeArgs, "-e", PRELUDE + source],
      { timeout: PATIENCE_MS },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? child.signalCode, stdout, stderr }),
    );
  });
}

/** Source for a Worker with the same prelude, to be embedded in a program. */
export function workerSource(source: string): string {
  return JSON.stringify(`${PRELUDE}const { parentPort, workerData } = require("node:worker_threads");${source}`);
}

/** Runs CommonJS source in a Worker of this process; resolves with its messages once it has ended. */
export function runWorker(source: string, workerData?: unknown): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const messages: unknown[] = [];
    const worker = new Worker(JSON.parse(workerSource(source)), { eval: true, workerData });
    worker.on("message", (message) => messages.push(message));
    worker.on("error", reject);
    worker.on("exit", () => resolve(messages));
  });
}
