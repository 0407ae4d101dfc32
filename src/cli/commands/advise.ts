import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { describeGeometry } from "../../geometry/array_geometry.js";
import { DTYPE_NAMES, type DType } from "../../geometry/dtype.js";
import { adviseLayout, estimateMemory, type LayoutAdvice, type LayoutDimension } from "../../index.js";
import type { CodecOptions } from "../../options.js";
import { formatCodec, parseCodec } from "../codec_arg.js";
import { formatDims, parseLayoutDims } from "../dims.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { formatBytes, formatCount, parseBytes, parsePositive } from "../numbers.js";
import { flagOf, shellWords } from "../shell_words.js";
import { addS3WriteFlags, parseStore, repeatFlags, type S3WriteFlags, STORE_HELP, sinkOf } from "../store_arg.js";
import { formatFields } from "../table.js";
import { shellQuoted } from "../write_failure.js";

interface AdviseFlags extends S3WriteFlags {
  readonly dtype: DType;
  readonly dims: readonly LayoutDimension[];
  readonly codec?: CodecOptions;
  readonly chunkBytes?: number;
  readonly shardBytes?: number;
  readonly memory?: number;
  readonly threads?: number;
  readonly json?: boolean;
}

/** What `advise --json` prints. */
interface Advised extends LayoutAdvice {
  /** The layout as `--dims` takes it. */
  readonly dims: string;
  /** Files, or objects, of one row of shards, and the rows of data in it. */
  readonly filesPerShardRow: number;
  readonly rowsPerShardRow: number;
  /** The command that writes such an array. */
  readonly write: string;
}

const HELP = `
A weight says how long a chunk is along a dimension relative to the others (default 1): 2 = twice as long, -1 = all of
the dimension, 0 = one element.

Examples:
  millrace advise --dtype uint16 --dims t:0,y:2048,x:2048

  # whole frames in every chunk
  millrace advise --dtype uint16 --dims t:0:0,y:2048:-1,x:2048:-1 --chunk-bytes 8MiB --memory 1GiB

  millrace advise s3://bucket/run.zarr --dtype uint16 --dims t:0,y:520,x:696`;

/** `millrace advise`: chunks and shards for an array, with what they cost and the line that writes it. */
export function adviseCommand({ io, finish }: CommandContext): Command {
  const command = new Command("advise")
    .description("Propose chunks and shards for an array, and print the command that writes it.")
    .argument(
      "[store]",
      `${STORE_HELP}, for the command line and the memory; nothing is written`,
      parseStore,
      "run.zarr",
    )
    .addOption(new Option("--dtype <dtype>", "element type").choices(DTYPE_NAMES).makeOptionMandatory())
    .addOption(
      new Option(
        "--dims <list>",
        "name:size or name:size:weight per dimension, slowest first; size 0 = unbounded, first dimension only",
      )
        .argParser(parseLayoutDims)
        .makeOptionMandatory(),
    )
    .option("--codec <codec>", "none, blosc, zstd or zstd:LEVEL (default: that of write)", parseCodec)
    .option("--chunk-bytes <n>", "raw bytes of a chunk, at most (default: 512 KiB)", parseBytes)
    .option("--shard-bytes <n>", "raw bytes of a shard, at most where possible (default: 512 MiB)", parseBytes)
    .option(
      "--memory <size>",
      "most memory for the stream's buffers, such as 512MiB; chunks become smaller",
      parseBytes,
    )
    .option("--threads <n>", "encode threads (default: all cores)", parsePositive)
    .option("--json", "print one JSON object as stdout's last line");
  return addS3WriteFlags(command)
    .addHelpText("after", HELP)
    .action((store: string, flags: AdviseFlags) => {
      const advised = advise(store, flags);
      io.stdout.write(flags.json ? `${JSON.stringify(advised)}\n` : describe(advised, flags));
      finish(EXIT.done);
    });
}

function advise(store: string, flags: AdviseFlags): Advised {
  const { dtype, codec, chunkBytes, memory, threads } = flags;
  const sink = sinkOf(store, flags);
  const advice = adviseLayout({
    dtype,
    dimensions: flags.dims,
    codec,
    chunkBytesTarget: chunkBytes,
    shardBytesTarget: flags.shardBytes,
    memoryBudgetBytes: memory,
    encodeThreads: threads ?? availableParallelism(),
    sinkMemoryBytes: (openShards, shardBytesMax) => sink.memoryBytes(openShards, shardBytesMax),
  });
  const { dimensions, reasons } = advice;
  const options = { sink, array: { dtype, dimensions, codec }, memoryBudgetBytes: memory, encodeThreads: threads };
  const { shardsPerRow, shard } = describeGeometry(dtype, dimensions);
  const dims = formatDims(dimensions);
  const said = [
    `--dtype ${dtype} --dims ${shellQuoted(dims)}`,
    ...(codec === undefined ? [] : [`--codec ${formatCodec(codec)}`]),
    ...(memory === undefined ? [] : [`--memory ${memory}`]),
    ...(threads === undefined ? [] : [`--threads ${threads}`]),
    // They count in the memory above.
    ...(["partBytes", "concurrency"] as const).flatMap((name) =>
      flags[name] === undefined ? [] : [`${flagOf(name)} ${flags[name]}`],
    ),
  ];
  return {
    dimensions,
    // With the threads that `write` starts.
    memory: estimateMemory(options),
    reasons,
    dims,
    filesPerShardRow: shardsPerRow,
    rowsPerShardRow: shard[0],
    write: `millrace write ${shellQuoted(store)}${repeatFlags(flags)} ${said.join(" ")}`,
  };
}

function describe(advised: Advised, { dims }: AdviseFlags): string {
  const { dimensions, memory, filesPerShardRow, rowsPerShardRow, reasons, write } = advised;
  const dimension = ({ name, size, chunk, shard }: LayoutAdvice["dimensions"][number]): [string, string] => [
    name,
    `size ${size ?? "unbounded"}, chunk ${chunk}, shard ${shard}`,
  ];
  const fields: [string, string][] = [
    ...dimensions.map(dimension),
    ["memory", `${formatBytes(memory.totalBytes)}, in batches of ${formatCount(memory.epochsPerBatch, "epoch")}`],
    ["files", `${formatCount(filesPerShardRow, "file")} for ${formatCount(rowsPerShardRow, "row")} (${dims[0].name})`],
  ];
  return `${formatFields(fields)}${reasons.map((reason) => `- ${shellWords(reason)}\n`).join("")}\n${write}\n`;
}
