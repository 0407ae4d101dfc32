import { type Command, Option } from "commander";
import { BATCH_EPOCHS_MAX } from "../base/limits.js";
import { describeGeometry } from "../geometry/array_geometry.js";
import type { ArrayOptions, Durability, WriterOptions } from "../options.js";
import { type BackendFlags, backendOption, softwareAdapterOption } from "./backend_options.js";
import { parseBytes, parseCount, parsePositive } from "./numbers.js";

/** How an array is written: what it takes of the machine, and what a crash costs. */
export interface StreamFlags extends BackendFlags {
  readonly memory?: number;
  readonly threads?: number;
  readonly maxAge?: number;
  readonly batchBytes?: number;
  readonly durability: Durability;
}

/** Adds {@link StreamFlags} to a command. */
export function addStreamFlags(command: Command): Command {
  return command
    .addOption(backendOption())
    .addOption(softwareAdapterOption())
    .option(
      "--memory <size>",
      "most memory for the stream's buffers, such as 512MiB (default: half of what the process may use)",
      parseBytes,
    )
    .option("--threads <n>", "encode threads (default: all cores)", parsePositive)
    .option(
      "--max-age <ms>",
      "how long whole chunks wait for their batch to be full before they are written without it; 0 = for ever " +
        "(default: 1000)",
      parseCount,
    )
    .option(
      "--batch-bytes <n>",
      "raw bytes encoded together, rounded up to whole chunks, such as 1MiB (default: 16 MiB)",
      parseBytes,
    )
    .addOption(
      new Option("--durability <level>", "what survives a power cut")
        .choices(["none", "shard", "batch"])
        .default("shard"),
    );
}

/** The flags as the library's options. */
export function streamOptions(array: ArrayOptions, flags: StreamFlags): Omit<WriterOptions, "sink" | "array"> {
  return {
    backend: flags.backend,
    allowSoftwareAdapter: flags.allowSoftwareAdapter,
    durability: flags.durability,
    maxBatchAgeMs: flags.maxAge,
    batchEpochs: flags.batchBytes === undefined ? undefined : batchEpochsOf(array, flags.batchBytes),
    memoryBudgetBytes: flags.memory,
    encodeThreads: flags.threads,
  };
}

/** Epochs of a batch of at least `bytes` raw bytes, as far as there can be so many. */
function batchEpochsOf({ dtype, dimensions }: ArrayOptions, bytes: number): number {
  return Math.min(BATCH_EPOCHS_MAX, Math.ceil(bytes / describeGeometry(dtype, dimensions).epochBytes));
}
