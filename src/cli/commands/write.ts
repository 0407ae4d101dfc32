import { Command, Option } from "commander";
import { nowNs } from "../../base/clock.js";
import { MillraceError } from "../../base/errors.js";
import { itemBytes } from "../../geometry/dtype.js";
import { type ArrayWriter, openWriter } from "../../index.js";
import type { ArrayOptions } from "../../options.js";
import { EXIT, reportError } from "../exit.js";
import { isLive } from "../input_files.js";
import { INPUT_FORMATS, type InputEnd, type InputFormat, readInputs } from "../inputs.js";
import { Interrupts } from "../interrupt.js";
import type { CommandContext } from "../io.js";
import { notYet } from "../not_yet.js";
import { formatBytes, formatCount, formatNs, formatRate, formatRatio, parseBytes } from "../numbers.js";
import { PROGRESS_MODES, type ProgressMode, startProgress } from "../progress.js";
import { closeAfterError, closeWholeRows, progressSample, type WriteResult, writeResult } from "../run_writer.js";
import { shellWords } from "../shell_words.js";
import { addS3WriteFlags, parseStore, type S3WriteFlags, STORE_HELP, sinkOf } from "../store_arg.js";
import { addStreamFlags, type StreamFlags, streamOptions } from "../stream_flags.js";
import { formatFields } from "../table.js";
import { type ArrayFlags, addArrayFlags, arrayOf, modeOption } from "../write_array.js";
import { type LeftStore, writeFailed } from "../write_failure.js";

interface WriteFlags extends ArrayFlags, StreamFlags, S3WriteFlags {
  readonly input?: readonly string[];
  readonly inputFormat: InputFormat;
  readonly appendBytes: number;
  readonly force?: boolean;
  readonly multiscale?: boolean;
  readonly progress: ProgressMode;
  readonly json?: boolean;
}

const EXAMPLES = `
Examples:
  # stdin: little-endian elements in C order
  camera | millrace write run.zarr --dtype uint16 --dims t:0:16:64,y:520:130:520,x:696:174:696 --codec blosc

  # raw files one after the other, then a TIFF file; its planes are mapped onto t, c, z by what it says of itself
  # (docs/inputs.md)
  millrace write run.zarr --dtype uint16 --dims t:0:16:64,y:520:130:520,x:696:174:696 --input a.raw b.raw c.tif

  # with what readers want to know of it
  camera | millrace write run.zarr --dtype uint16 --dims t:0:16:64,y:520:130:520,x:696:174:696 \\
    --unit t:second,y:micrometer,x:micrometer --scale t:0.01,y:0.325,x:0.325 --attributes scope.json

  # into a bucket; credentials are found as the AWS command line finds them
  camera | millrace write s3://bucket/run.zarr --endpoint http://127.0.0.1:9000 --dtype uint16 \\
    --dims t:0:16:64,y:520:130:520,x:696:174:696

  # more frames of the same array, behind those that a closed store holds; what is said of the array must be as in
  # the store
  millrace write run.zarr --mode resume --input d.raw

Input that ends in the middle of a row is an error (exit code 1); the whole rows before it are in the store.
Ctrl-C, SIGTERM or SIGHUP closes the store with what has arrived (exit code 130); a second one of them aborts (130); a
third ends the process at once.`;

/** `millrace write`: streams stdin, pipes, raw, TIFF or NumPy files into a new array. */
export function writeCommand({ io, finish }: CommandContext): Command {
  const command = new Command("write")
    .description("Write elements from stdin, raw files, TIFF or NumPy files into a sharded Zarr v3 array.")
    .argument("<store>", `${STORE_HELP}, where the array is written`, parseStore);
  addArrayFlags(command)
    .option(
      "--input <file...>",
      "raw, TIFF or .npy files, named pipes or - for stdin, in order (default: stdin when it is piped)",
    )
    .addOption(
      new Option("--input-format <format>", "what the inputs are; auto goes by their first bytes, never by their names")
        .choices(INPUT_FORMATS)
        .default("auto"),
    )
    .option(
      "--append-bytes <n>",
      "most bytes per append of raw input; any number from 1, or 64KiB, 1MiB; what has come is not held back for more",
      parseBytes,
      2 ** 20,
    );
  addStreamFlags(command)
    .addOption(modeOption())
    .option("--force", "for folders: overwrite also where more than a store lies, and delete all of it")
    .option("--multiscale", "write a resolution pyramid (not yet)")
    .addOption(
      new Option("--progress <mode>", "on stderr: bar on a terminal, one JSON line a second, nothing")
        .choices(PROGRESS_MODES)
        .default("auto"),
    )
    .option("--json", "print one JSON object as stdout's last line");
  return addS3WriteFlags(command)
    .addHelpText("after", EXAMPLES)
    .action(async (store: string, flags: WriteFlags) => {
      using interrupts = new Interrupts(io.stderr);
      try {
        const written = await write(store, flags, io, interrupts);
        io.stdout.write(flags.json ? `${JSON.stringify(written.result)}\n` : describeResult(store, written));
        finish(interrupts.closing.aborted ? EXIT.interrupted : EXIT.done);
      } catch (error) {
        if (!interrupts.aborting.aborted) throw error;
        reportError(error, io, flags.json === true);
        finish(EXIT.interrupted);
      }
    });
}

interface Written {
  readonly array: ArrayOptions;
  /** `rowsBefore`: with --mode resume, rows that the store held. */
  readonly result: WriteResult & { readonly rowsBefore?: number };
}

async function write(
  store: string,
  flags: WriteFlags,
  io: CommandContext["io"],
  interrupts: Interrupts,
): Promise<Written> {
  if (flags.multiscale) throw notYet("--multiscale");
  const sink = sinkOf(store, flags, { force: flags.force });
  const array = await arrayOf(store, flags);
  const inputs = chooseInputs(flags.input, io.stdin.isTTY === true);
  const pieces = readInputs({
    inputs,
    format: flags.inputFormat,
    dtype: array.dtype,
    itemBytes: itemBytes(array.dtype),
    dimensions: array.dimensions,
    appendBytes: flags.appendBytes,
    stdin: io.stdin,
    signal: interrupts.closing,
  });
  try {
    // A file that is absent or of the wrong kind is found before a store is made, or an old one is removed. stdin and
    // pipes are not waited for: the store is valid from the first moment, before the first frame.
    const first = (await isLive(inputs[0])) ? undefined : await pieces.next();
    const startNs = nowNs();
    const writer = await openWriter({
      sink,
      array,
      mode: flags.mode,
      ...streamOptions(array, flags),
      signal: interrupts.aborting,
    });
    writer.on("warning", ({ message }) => io.stderr.write(`millrace: warning: ${shellWords(message)}\n`));
    const rowsBefore = writer.watermarks.published;
    const progress = startProgress({
      mode: flags.progress,
      stderr: io.stderr,
      totalRows: array.dimensions[0].size,
      sample: () => progressSample(writer),
    });
    let end: PumpEnd;
    try {
      end = await pump(writer, pieces, first);
      await closeWholeRows(writer);
    } catch (error) {
      const ended = await closeAfterError(writer, error);
      throw writeFailed(error, { store, flags, ended, watermarks: writer.watermarks });
    } finally {
      progress.stop();
    }
    const result = writeResult(writer, (nowNs() - startNs) / 1e9);
    if (!interrupts.closing.aborted) {
      checkWholeRows(end, writer.geometry.rowBytes, { store, flags, ended: "closed", watermarks: writer.watermarks });
    }
    return { array, result: flags.mode === "resume" ? { ...result, rowsBefore } : result };
  } finally {
    await pieces.return({ carriedBytes: 0 });
  }
}

function chooseInputs(given: readonly string[] | undefined, stdinIsTerminal: boolean): readonly string[] {
  if (given === undefined) {
    if (!stdinIsTerminal) return ["-"];
    throw new MillraceError(
      "INVALID_OPTION",
      "there is nothing to read: stdin is a terminal and --input is not given.",
      {
        context: { option: "input" },
      },
    );
  }
  if (given.filter((input) => input === "-").length > 1) {
    throw new MillraceError("INVALID_OPTION", "--input names - (stdin) more than once.", {
      context: { option: "input" },
    });
  }
  return given;
}

interface PumpEnd extends InputEnd {
  readonly bytes: number;
}

async function pump(
  writer: ArrayWriter,
  pieces: AsyncGenerator<Uint8Array, InputEnd>,
  first: IteratorResult<Uint8Array, InputEnd> | undefined,
): Promise<PumpEnd> {
  let bytes = 0;
  for (let next = first ?? (await pieces.next()); ; next = await pieces.next()) {
    if (next.done) return { bytes, ...next.value };
    await writer.append(next.value);
    bytes += next.value.byteLength;
  }
}

/** @throws MillraceError INCOMPLETE_ROW when the input ended within one. The store is closed. */
function checkWholeRows(end: PumpEnd, rowBytes: number, left: LeftStore): void {
  const leftOverBytes = (end.bytes % rowBytes) + end.carriedBytes;
  if (leftOverBytes === 0) return;
  const rows = left.watermarks.published;
  const error = new MillraceError(
    "INCOMPLETE_ROW",
    `the input ended in the middle of a row: ${formatCount(leftOverBytes, "byte")} left over, a row has ${rowBytes}.`,
    { context: { leftOverBytes, rowBytes, rows } },
  );
  throw writeFailed(error, left);
}

function describeResult(store: string, { array, result }: Written): string {
  const { appendNs, rowsBefore } = result;
  const continued = rowsBefore === undefined ? "" : `, the first ${rowsBefore} as before`;
  return formatFields([
    ["store", store],
    ["rows", `${result.rows} (${array.dimensions[0].name})${continued}`],
    ["in", `${formatBytes(result.bytesIn)} ${array.dtype}`],
    ["stored", `${formatBytes(result.bytesStored)}, ratio ${formatRatio(result.bytesIn, result.bytesStored)}`],
    ["time", `${result.seconds.toFixed(2)} s, ${formatRate(result.bytesIn, result.seconds)}`],
    ["backend", `${result.backend} (${result.adapter})`],
    ["append", `p50 ${formatNs(appendNs.p50)}, p99 ${formatNs(appendNs.p99)}, max ${formatNs(appendNs.max)}`],
    ["peak memory", formatBytes(result.peakRssBytes)],
  ]);
}
