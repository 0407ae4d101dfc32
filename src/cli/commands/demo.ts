import { Command, Option } from "commander";
import { nowNs } from "../../base/clock.js";
import { MillraceError } from "../../base/errors.js";
import { alignUp } from "../../base/integers.js";
import type { DimensionOptions } from "../../geometry/array_geometry.js";
import { openArray, openWriter, type SinkSpec, type StoreTarget, verifyStore } from "../../index.js";
import type { CodecOptions } from "../../options.js";
import { type BackendFlags, backendOption, softwareAdapterOption } from "../backend_options.js";
import { SyntheticCamera } from "../camera.js";
import { formatCodec, parseCodec } from "../codec_arg.js";
import { DEMO_ATTRIBUTE, examineDemoStore } from "../demo_store.js";
import { EXIT, reportError } from "../exit.js";
import { Interrupts } from "../interrupt.js";
import type { CliIo, CommandContext } from "../io.js";
import { formatBytes, formatNs, formatRate, formatRatio, parsePositive, parseSeconds, parseSeed } from "../numbers.js";
import { PROGRESS_MODES, type ProgressMode, startProgress } from "../progress.js";
import { closeAfterError, progressSample, type WriteResult, writeResult } from "../run_writer.js";
import { StatusLine } from "../status_line.js";
import {
  addS3WriteFlags,
  parseStore,
  repeatFlags,
  type S3WriteFlags,
  STORE_HELP,
  sinkOf,
  targetOf,
} from "../store_arg.js";
import { formatFields } from "../table.js";

const STORE_DEFAULT = "millrace-demo.zarr";
/** 512 MiB of 512 × 512 frames: writing and checking them takes about ten seconds on two cores. */
const FRAMES_DEFAULT = 1024;
const SIZE_DEFAULT = 512;
const CHUNK_FRAMES = 16;
const SHARD_FRAMES = 64;
const CHUNK_SIDE = 128;

interface DemoFlags extends BackendFlags, S3WriteFlags {
  readonly frames?: number;
  readonly seconds?: number;
  readonly size: number;
  readonly codec: CodecOptions;
  readonly seed: number;
  readonly keep?: boolean;
  readonly progress: ProgressMode;
  readonly json?: boolean;
}

interface DemoResult extends WriteResult {
  readonly store: string;
  readonly codec: string;
  readonly checked: {
    readonly chunks: number;
    readonly values: number;
    readonly wrong: number;
    readonly seconds: number;
  };
}

const HELP = `
Examples:
  millrace demo
  millrace demo s3://bucket/demo.zarr --endpoint http://127.0.0.1:9000 --frames 256`;

/** `millrace demo`: a synthetic camera into a store, which is then read back and compared value by value. */
export function demoCommand({ io, finish }: CommandContext): Command {
  const command = new Command("demo")
    .description("Stream a synthetic camera into a store, read it back and compare every value.")
    .argument("[store]", `${STORE_HELP}; an earlier demo store there is replaced`, parseStore, STORE_DEFAULT)
    .addOption(new Option("--frames <n>", `frames to take (default: ${FRAMES_DEFAULT})`).argParser(parsePositive))
    .addOption(
      new Option("--seconds <s>", "take frames for so long instead").argParser(parseSeconds).conflicts("frames"),
    )
    .option("--size <pixels>", "side of the square frames", parsePositive, SIZE_DEFAULT)
    .addOption(
      new Option("--codec <codec>", "none, blosc, zstd or zstd:LEVEL")
        .argParser(parseCodec)
        .default({ name: "blosc" }, "blosc"),
    )
    .option("--seed <n>", "another scene and other noise", parseSeed, 1)
    .addOption(backendOption())
    .addOption(softwareAdapterOption())
    .option("--keep", "refuse to replace an earlier demo store")
    .addOption(new Option("--progress <mode>", "on stderr").choices(PROGRESS_MODES).default("auto"))
    .option("--json", "print one JSON object as stdout's last line");
  return addS3WriteFlags(command)
    .addHelpText("after", HELP)
    .action(async (store: string, flags: DemoFlags) => {
      using interrupts = new Interrupts(io.stderr);
      try {
        const result = await demo(store, flags, io, interrupts);
        io.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : describeResult(result, flags));
        if (interrupts.closing.aborted) finish(EXIT.interrupted);
      } catch (error) {
        if (!interrupts.aborting.aborted) throw error;
        reportError(error, io, flags.json === true);
        finish(EXIT.interrupted);
      }
    });
}

async function demo(store: string, flags: DemoFlags, io: CliIo, interrupts: Interrupts): Promise<DemoResult> {
  const sink = sinkOf(store, flags);
  await using opened = targetOf(store, flags);
  const earlier = await examineDemoStore(store, opened.target);
  if (earlier === "demo" && flags.keep) {
    throw new MillraceError("STORE_EXISTS", `${store} holds an earlier demo, and --keep says to keep it.`, {
      context: { store },
      hint: "Name another place: millrace demo STORE.",
    });
  }
  const { codec } = flags;
  const camera = new SyntheticCamera(flags);
  const written = await take(sink, camera, { codec, flags, overwrite: earlier === "demo" }, io, interrupts);
  const checked = await check(opened.target, sink.location, camera, written.rows, flags, io, interrupts);
  return { ...written, store: sink.location, codec: formatCodec(codec), checked };
}

function demoDimensions(size: number): DimensionOptions[] {
  const chunk = Math.min(size, CHUNK_SIDE);
  const side = { type: "space", size, chunk, shard: alignUp(size, chunk), unit: "micrometer", scale: 0.65 } as const;
  return [
    { name: "t", type: "time", size: null, chunk: CHUNK_FRAMES, shard: SHARD_FRAMES, unit: "second", scale: 0.01 },
    { name: "y", ...side },
    { name: "x", ...side },
  ];
}

interface TakeOptions {
  readonly codec: CodecOptions;
  readonly flags: DemoFlags;
  readonly overwrite: boolean;
}

async function take(
  sink: SinkSpec,
  camera: SyntheticCamera,
  { codec, flags, overwrite }: TakeOptions,
  io: CliIo,
  interrupts: Interrupts,
): Promise<WriteResult> {
  const frames = flags.seconds === undefined ? (flags.frames ?? FRAMES_DEFAULT) : null;
  const startNs = nowNs();
  const writer = await openWriter({
    sink,
    array: {
      dtype: "uint16",
      dimensions: demoDimensions(camera.size),
      codec,
      attributes: { [DEMO_ATTRIBUTE]: { seed: flags.seed, size: camera.size } },
    },
    mode: overwrite ? "overwrite" : "create",
    backend: flags.backend,
    allowSoftwareAdapter: flags.allowSoftwareAdapter,
    signal: interrupts.aborting,
  });
  const progress = startProgress({
    mode: flags.progress,
    stderr: io.stderr,
    totalRows: frames,
    sample: () => progressSample(writer),
  });
  try {
    const frame = new Uint16Array(camera.frameElements);
    const deadlineNs = nowNs() + (flags.seconds ?? Number.POSITIVE_INFINITY) * 1e9;
    for (let i = 0; (frames === null || i < frames) && nowNs() < deadlineNs && !interrupts.closing.aborted; i++) {
      camera.expose(i, frame);
      await writer.append(frame);
    }
    await writer.close();
  } catch (error) {
    await closeAfterError(writer, error);
    throw error;
  } finally {
    progress.stop();
  }
  return writeResult(writer, (nowNs() - startNs) / 1e9);
}

/**
 * Verifies the store, then reads all of it and compares with frames made again.
 * @throws MillraceError STORE_CORRUPT
 */
async function check(
  target: StoreTarget,
  location: string,
  camera: SyntheticCamera,
  rows: number,
  flags: DemoFlags,
  io: CliIo,
  interrupts: Interrupts,
): Promise<DemoResult["checked"]> {
  const status = new StatusLine(io.stderr, flags.progress === "auto");
  const startNs = nowNs();
  try {
    const report = await verifyStore(target, {
      signal: interrupts.aborting,
      onProgress: ({ chunksChecked }) => status.update(() => `checking: ${chunksChecked} chunks decoded`),
    });
    if (!report.ok) {
      throw new MillraceError("STORE_CORRUPT", `${location} does not verify; run: millrace verify ${location}.`, {
        context: { store: location },
      });
    }
    const wrong = await countWrong(target, camera, rows, status, interrupts.aborting);
    const values = rows * camera.frameElements;
    if (wrong > 0) {
      throw new MillraceError("STORE_CORRUPT", `${wrong} of ${values} values differ from what the camera gave.`, {
        context: { store: location, wrong, values },
      });
    }
    const chunks = report.arrays.reduce((sum, array) => sum + array.chunksChecked, 0);
    return { chunks, values, wrong, seconds: (nowNs() - startNs) / 1e9 };
  } finally {
    status.clear();
  }
}

async function countWrong(
  target: StoreTarget,
  camera: SyntheticCamera,
  rows: number,
  status: StatusLine,
  signal: AbortSignal,
): Promise<number> {
  const array = await openArray(target);
  const expected = new Uint16Array(camera.frameElements);
  const { size } = camera;
  let wrong = 0;
  for (let row = 0; row < rows; row += CHUNK_FRAMES) {
    const stop = Math.min(row + CHUNK_FRAMES, rows);
    const { values: slab } = await array.readRegion([row, 0, 0], [stop, size, size], { signal });
    for (let i = row; i < stop; i++) {
      camera.expose(i, expected);
      const offset = (i - row) * expected.length;
      for (let k = 0; k < expected.length; k++) if (slab[offset + k] !== expected[k]) wrong++;
    }
    status.update(() => `comparing: ${stop} of ${rows} frames`);
  }
  return wrong;
}

function describeResult(result: DemoResult, flags: DemoFlags): string {
  const { appendNs, checked } = result;
  return (
    formatFields([
      ["store", result.store],
      [
        "frames",
        `${result.rows}, ${formatBytes(result.bytesIn)} in, ` +
          `${formatBytes(result.bytesStored)} stored (${result.codec})`,
      ],
      ["ratio", formatRatio(result.bytesIn, result.bytesStored)],
      [
        "written",
        `${formatRate(result.bytesIn, result.seconds)} for ${result.seconds.toFixed(2)} s, ` +
          "the camera's own time included",
      ],
      ["append", `p50 ${formatNs(appendNs.p50)}, p99 ${formatNs(appendNs.p99)}, max ${formatNs(appendNs.max)}`],
      ["backend", `${result.backend} (${result.adapter})`],
      [
        "checked",
        `${checked.chunks} chunks verified, ${checked.values} values compared, 0 wrong, ` +
          `${checked.seconds.toFixed(2)} s`,
      ],
    ]) +
    `\nNext: millrace inspect ${result.store}${repeatFlags(flags)}\n` +
    `      millrace write --help\n` +
    (result.store.startsWith("s3://") ? "" : `      python: zarr.open(${JSON.stringify(result.store)})\n`)
  );
}
