import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { fromWireError, toWireError, type WireError } from "../base/errors.js";
import { resolveCodec } from "../codec/codec.js";
import { MillraceError } from "../index.js";
import { measureCopy } from "./ceilings/copy.js";
import { measureDisk } from "./ceilings/disk.js";
import { measureEncode } from "./ceilings/encode.js";
import { measureS3 } from "./ceilings/s3.js";
import type { Fill } from "./fill.js";
import type { BenchJob, BenchSettings, CeilingRun, FillSpec } from "./job.js";
import { runWriter, type WatchWriters, type WriterRun } from "./writer_run.js";

type Answer = { readonly result: WriterRun | CeilingRun } | { readonly error: WireError };

/** Makes the input; the entry supplies it, because some fills belong to the command line. */
type OpenFill = (spec: FillSpec, settings: BenchSettings) => Promise<Fill>;

/**
 * Body of the child process: takes one job from its parent, measures, answers, ends. Every measurement has a process of
 * its own, so that peak memory is its own and no run inherits another one's heap.
 */
export function serveBenchJob(openFill: OpenFill, watch?: WatchWriters): void {
  process.once("message", async (job: BenchJob) => {
    let answer: Answer;
    try {
      answer = { result: await measure(job, openFill, watch) };
    } catch (error) {
      answer = { error: toWireError(error) };
    }
    process.send?.(answer, () => process.disconnect());
  });
}

async function measure(
  job: BenchJob,
  openFill: OpenFill,
  watch: WatchWriters | undefined,
): Promise<WriterRun | CeilingRun> {
  switch (job.kind) {
    case "writer":
      return runWriter(job.settings, await openFill(job.settings.fill, job.settings), watch);
    case "copy":
      return measureCopy(job.threads, job.seconds);
    case "encode": {
      const fill = await openFill(job.settings.fill, job.settings);
      return measureEncode(job.settings, resolveCodec(job.settings.codec), fill, job.threads, job.seconds);
    }
    case "disk":
      return measureDisk(job.folder, job.bytes, job.durable);
    case "s3":
      return measureS3(job.upload);
  }
}

/** Runs one job in a child process. Rejects with the child's error. */
export type RunJob = <J extends BenchJob>(job: J) => Promise<J extends { kind: "writer" } ? WriterRun : CeilingRun>;

/** @param entry the module that calls {@link serveBenchJob} */
export function childRunner(entry: URL): RunJob {
  return (job) =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(entry), {
        serialization: "advanced",
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      let answer: Answer | undefined;
      child.on("message", (message: Answer) => {
        answer = message;
      });
      child.on("error", reject);
      child.on("exit", (code, signal) => {
        if (answer === undefined) {
          const how = signal ?? `exit code ${code}`;
          reject(new MillraceError("THREAD_FAILED", `the process that measures ended early (${how}).`));
        } else if ("error" in answer) reject(fromWireError(answer.error));
        else resolve(answer.result as never);
      });
      child.send(job);
    });
}
