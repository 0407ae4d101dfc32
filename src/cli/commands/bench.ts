import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { clearPlace } from "../../bench/ceilings/s3.js";
import { childRunner } from "../../bench/child.js";
import { type BenchResult, compare } from "../../bench/compare.js";
import { SIMPLE_FILLS } from "../../bench/fill.js";
import type { BenchSettings, BenchSink, FillSpec } from "../../bench/job.js";
import { machineFacts } from "../../bench/machine.js";
import { findScenario, LATER_SCENARIOS, SCENARIOS } from "../../bench/scenarios/catalog.js";
import { MillraceError } from "../../index.js";
import type { CodecOptions, Durability } from "../../options.js";
import { isS3Url, parseS3Url } from "../../s3/s3_options.js";
import { type BackendFlags, backendOption, softwareAdapterOption } from "../backend_options.js";
import { describeBench } from "../bench_report.js";
import { parseCodec } from "../codec_arg.js";
import { EXIT } from "../exit.js";
import { onInterrupts } from "../interrupt.js";
import type { CommandContext } from "../io.js";
import { parseBytes, parsePositive, parseSeconds, parseSeed } from "../numbers.js";
import { removeFolder } from "../remove_folder.js";

interface BenchFlags extends BackendFlags {
  readonly backend: BenchSettings["backend"];
  readonly codec: CodecOptions;
  readonly sink: "discard" | "file" | "s3" | "throttled";
  readonly out: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly partBytes: number;
  readonly concurrency: number;
  readonly directIo?: boolean;
  readonly durability: Durability;
  readonly rate: number;
  readonly latency: number;
  readonly fill: FillSpec["name"];
  readonly images?: readonly string[];
  readonly prefill?: boolean;
  readonly appendBytes?: number;
  readonly seconds: number;
  readonly batches?: number;
  readonly rounds: number;
  readonly ceilings: boolean;
  readonly threads?: number;
  readonly copyHelpers?: number;
  readonly depth?: number;
  readonly batchEpochs?: number;
  readonly json?: boolean;
}

const SCENARIO_HELP = `
Scenarios (uint16):
${SCENARIOS.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`).join("\n")}
  not in this version yet: ${LATER_SCENARIOS.map(({ name }) => name).join(", ")}

Every round measures the ceilings first (a two-pass memory copy; the bare encoder; the raw disk), then the writer, each
in a process of its own. A window opens after 2 batches of warm-up and holds at least 4; its end is the end of close().
A run that covers less exits with 1 and prints no figure.

Examples:
  millrace bench orca2 --prefill --codec none
  millrace bench smallepoch --prefill --append-bytes 512
  millrace bench orca2 --prefill --fill camera --sink file --out /data/scratch --json`;

/** `millrace bench`: the writer against what the machine can do without it. */
export function benchCommand({ io, finish }: CommandContext): Command {
  return new Command("bench")
    .description("Measure the writer beside the machine's own limits.")
    .argument("<scenario>", "what is streamed; see below")
    .addOption(backendOption())
    .addOption(softwareAdapterOption())
    .addOption(
      new Option("--codec <codec>", "none, blosc, zstd or zstd:LEVEL")
        .argParser(parseCodec)
        .default({ name: "blosc" }, "blosc"),
    )
    .addOption(
      new Option("--sink <sink>", "where shards go").choices(["discard", "file", "s3", "throttled"]).default("discard"),
    )
    .option(
      "--out <place>",
      "folder for --sink file, s3://bucket/prefix for --sink s3: stores are made here, and removed",
      tmpdir(),
    )
    .option("--endpoint <url>", "for --sink s3: a server other than AWS")
    .option("--region <name>", "for --sink s3")
    .option("--part-bytes <n>", "for --sink s3: bytes of a part", parseBytes, 8 * 2 ** 20)
    .option("--concurrency <n>", "for --sink s3: parts on their way at once", parsePositive, 8)
    .option("--direct-io", "for --sink file: past the page cache")
    .addOption(
      new Option("--durability <level>", "for --sink file").choices(["none", "shard", "batch"]).default("shard"),
    )
    .option("--rate <bytes>", "for --sink throttled: bytes per second", parseBytes, 200_000_000)
    .option("--latency <ms>", "for --sink throttled: added to every call", parseSeed, 0)
    .addOption(
      new Option("--fill <fill>", "what the input is").choices([...SIMPLE_FILLS, "camera", "images"]).default("xor"),
    )
    .option("--images <file...>", "for --fill images: .tif files, or raw uint16 planes")
    .option("--prefill", "make the input once, before the clock starts")
    .option("--append-bytes <n>", "bytes per append (default: the scenario's)", parseBytes)
    .option("--seconds <s>", "time per measurement", parseSeconds, 3)
    .option("--batches <n>", "measure exactly so many batches instead of --seconds", parsePositive)
    .option("--rounds <n>", "rounds; the median counts", parsePositive, 3)
    .option("--no-ceilings", "the writer alone")
    .option("--threads <n>", "encode threads (default: the library's)", parsePositive)
    .option("--copy-helpers <n>", "copy helpers, 0 … 3 (default: the library's)", parseSeed)
    .option("--depth <n>", "slots (default: the library's)", parsePositive)
    .option("--batch-epochs <n>", "epochs per batch (default: the library's)", parsePositive)
    .option("--json", "print one JSON object as stdout's last line")
    .addHelpText("after", SCENARIO_HELP)
    .action(async (scenario: string, flags: BenchFlags) => {
      const result = await bench(scenario, flags, io.stderr);
      io.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : describeBench(result));
      finish(EXIT.done);
    });
}

async function bench(name: string, flags: BenchFlags, stderr: CommandContext["io"]["stderr"]): Promise<BenchResult> {
  const scenario = findScenario(name);
  const fill = { name: flags.fill, files: flags.images ?? [] };
  if ((flags.fill === "images") !== fill.files.length > 0) {
    throw new MillraceError("INVALID_OPTION", "--fill images and --images go together.", {
      context: { option: "images" },
    });
  }
  const appendBytes = flags.appendBytes ?? scenario.appendBytes;
  if (appendBytes % 2 !== 0) {
    throw new MillraceError("INVALID_OPTION", `--append-bytes ${appendBytes} is not a whole number of uint16.`, {
      context: { option: "append-bytes", appendBytes },
    });
  }
  await using folder = flags.sink === "file" ? await scratchFolder(flags.out) : undefined;
  const sink: BenchSink =
    folder !== undefined
      ? { kind: "file", folder: folder.path, directIo: flags.directIo === true }
      : flags.sink === "s3"
        ? s3Sink(flags)
        : flags.sink === "throttled"
          ? { kind: "throttled", bytesPerSecond: flags.rate, latencyMs: flags.latency }
          : { kind: "discard" };
  const settings: BenchSettings = {
    scenario: scenario.name,
    dimensions: scenario.dimensions,
    streams: scenario.streams ?? 1,
    codec: flags.codec,
    backend: flags.backend,
    allowSoftwareAdapter: flags.allowSoftwareAdapter === true,
    sink,
    durability: flags.durability,
    fill,
    prefill: flags.prefill === true,
    appendBytes,
    seconds: flags.seconds,
    batches: flags.batches,
    encodeThreads: flags.threads,
    copyHelpers: flags.copyHelpers,
    depth: flags.depth,
    batchEpochs: flags.batchEpochs,
  };
  await using _place = sink.kind === "s3" ? { [Symbol.asyncDispose]: () => clearPlace(sink.place) } : undefined;
  // Awaited here: the folder goes when this function returns.
  return await compare({
    settings,
    rounds: flags.rounds,
    withCeilings: flags.ceilings,
    copyThreads: pipelineThreads(flags),
    runJob: childRunner(new URL("../bench_child.js", import.meta.url)),
    onStep: (round, what) => {
      stderr.write(`bench ${scenario.name}: round ${round + 1} of ${flags.rounds}: ${what}\n`);
    },
  });
}

/** A place of its own below --out, so that whatever else is there stays. */
function s3Sink({ out, endpoint, region, partBytes, concurrency }: BenchFlags): BenchSink {
  if (!isS3Url(out)) {
    throw new MillraceError("INVALID_OPTION", `--sink s3 needs --out s3://bucket/prefix, but it is ${out}.`, {
      context: { option: "out", out },
    });
  }
  const { bucket, prefix } = parseS3Url(out);
  const own = `millrace-bench-${crypto.randomUUID()}`;
  return {
    kind: "s3",
    place: { bucket, prefix: prefix === "" ? own : `${prefix}/${own}`, endpoint, region },
    partBytes,
    concurrency,
  };
}

/** Threads of the pipeline that move bytes, as far as there are cores for them. */
function pipelineThreads({ threads, copyHelpers }: BenchFlags): number {
  const { cores } = machineFacts();
  const encoders = threads ?? Math.max(1, cores - 1);
  const helpers = copyHelpers ?? Math.min(cores - 1, 3);
  return Math.min(cores, 1 + encoders + helpers);
}

/** A new folder for the stores of this run; gone when disposed, and when the process is interrupted. */
async function scratchFolder(parent: string): Promise<{ path: string } & AsyncDisposable> {
  let path: string;
  try {
    path = await mkdtemp(join(parent, "millrace-bench-"));
  } catch (cause) {
    throw new MillraceError("INVALID_OPTION", `--out ${parent}: no folder can be made there.`, {
      context: { option: "out", reason: (cause as NodeJS.ErrnoException).code ?? "unknown" },
      cause,
    });
  }
  const onSignal = (): void => {
    removeFolder(path);
    process.exit(EXIT.interrupted);
  };
  const signals = onInterrupts(onSignal);
  return {
    path,
    async [Symbol.asyncDispose]() {
      signals[Symbol.dispose]();
      removeFolder(path);
    },
  };
}
