import { Command, InvalidArgumentError } from "commander";
import { describeGeometry } from "../../geometry/array_geometry.js";
import { estimateMemory, type MemoryPlan } from "../../index.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { formatBytes, formatCount, formatRate } from "../numbers.js";
import { shellWords } from "../shell_words.js";
import { addS3WriteFlags, parseStore, type S3WriteFlags, STORE_HELP, sinkOf } from "../store_arg.js";
import { addStreamFlags, type StreamFlags, streamOptions } from "../stream_flags.js";
import { formatFields } from "../table.js";
import { type ArrayFlags, addArrayFlags, arrayOf, modeOption } from "../write_array.js";

interface EstimateFlags extends ArrayFlags, StreamFlags, S3WriteFlags {
  readonly rate?: number;
  readonly json?: boolean;
}

/** How long a stream goes on while its sink stands still. */
interface Elasticity {
  /** Frames, which are rows of the first dimension, that are taken at least. */
  readonly frames: number;
  readonly ms: number;
  readonly bytesPerSecond: number;
}

const HELP = `
Takes the flags of write, allocates nothing and writes nothing. It is the memory of a stream that the CPU encodes.
--rate tells how many frames fit in while the sink stands still, at the worst moment, and for how long that is.

Examples:
  millrace estimate --dtype uint16 --dims t:0:16:64,y:520:130:520,x:696:174:696 --rate 100
  millrace estimate s3://bucket/run.zarr --dtype uint16 --dims t:0:16:64,y:520:130:520,x:696:174:696 --memory 1GiB`;

/** `millrace estimate`: the memory of a stream item by item, and what a stall of the sink may last. */
export function estimateCommand({ io, finish }: CommandContext): Command {
  const command = new Command("estimate")
    .description("Show the memory that write would take with the same flags, item by item.")
    .argument("[store]", `${STORE_HELP}, where the array would go`, parseStore, "run.zarr");
  addArrayFlags(command);
  addStreamFlags(command)
    .addOption(modeOption())
    .option("--rate <n>", "frames a second, which are rows of the first dimension: adds the elasticity", parseRate)
    .option("--json", "print one JSON object as stdout's last line");
  return addS3WriteFlags(command)
    .addHelpText("after", HELP)
    .action(async (store: string, flags: EstimateFlags) => {
      const sink = sinkOf(store, flags);
      const array = await arrayOf(store, flags);
      const memory = estimateMemory({ sink, array, mode: flags.mode, ...streamOptions(array, flags) });
      const { epochRows, rowBytes } = describeGeometry(array.dtype, array.dimensions);
      const elasticity =
        flags.rate === undefined ? undefined : elasticityOf(memory, epochRows, rowBytes, flags.rate, flags.maxAge);
      io.stdout.write(
        flags.json ? `${JSON.stringify({ memory, elasticity })}\n` : describe(memory, elasticity, flags.rate),
      );
      finish(EXIT.done);
    });
}

/** Parses a rate above 0; fractions are fine: a time-lapse. */
function parseRate(text: string): number {
  const rate = Number(text);
  if (text.trim() !== "" && Number.isFinite(rate) && rate > 0) return rate;
  throw new InvalidArgumentError(`Expected a rate above 0, got "${text}".`);
}

/**
 * What fits in when the sink stops at the worst moment: the slot that is being filled is full, and one output slot is
 * stuck in the sink. A slow stream's batches are given on by their age and hold less than they could.
 */
function elasticityOf(
  { epochsPerBatch, batch }: MemoryPlan,
  epochRows: number,
  rowBytes: number,
  rate: number,
  maxAgeMs = 1000,
): Elasticity {
  const aged = maxAgeMs === 0 ? epochsPerBatch : Math.max(1, Math.floor((rate * maxAgeMs) / 1000 / epochRows));
  const batchRows = Math.min(epochsPerBatch, aged) * epochRows;
  const frames = (batch.stagingSlots - 1 + batch.outputSlots - 1) * batchRows;
  return { frames, ms: Math.floor((frames / rate) * 1000), bytesPerSecond: rate * rowBytes };
}

const ITEMS = {
  staging: "slots that the input is copied into",
  output: "slots of encoded chunks",
  sizes: "tables of encoded sizes",
  shardIndexes: "indexes of open shards",
  encoderScratch: "what the encoder works in",
  gpuHost: "memory that a GPU reads",
  sink: "what the sink holds",
  threads: "heaps of threads, not counted against --memory",
  control: "tables, counters and the journal",
} as const satisfies Partial<Record<keyof MemoryPlan, string>>;

function describe(memory: MemoryPlan, elasticity: Elasticity | undefined, rate: number | undefined): string {
  const { batch, epochsPerBatch, openShards } = memory;
  const fields: [string, string][] = Object.entries(ITEMS)
    .filter(([item]) => memory[item as keyof typeof ITEMS] > 0)
    .map(([item, what]) => [item, `${formatBytes(memory[item as keyof typeof ITEMS])}, ${what}`]);
  fields.push(
    ["total", formatBytes(memory.totalBytes)],
    ["batch", `${formatCount(epochsPerBatch, "epoch")}, ${formatBytes(batch.stagingSlotBytes)} raw`],
    ["open", `${formatCount(openShards, "shard")} at most`],
  );
  if (elasticity !== undefined) {
    const { frames, ms, bytesPerSecond } = elasticity;
    fields.push(
      ["input", `${formatCount(rate ?? 0, "frame")} a second, ${formatRate(bytesPerSecond, 1)}`],
      ["elasticity", `the sink may stand still for ${formatCount(frames, "frame")}, ${ms} ms, before input waits`],
    );
  }
  return formatFields(fields) + memory.reductions.map((reduction) => `- ${shellWords(reduction)}\n`).join("");
}
