import { addAbortSignal, type Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "../base/errors.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import { swapSamples } from "../tiff/samples.js";
import { TiffFile } from "../tiff/tiff_file.js";
import { ElementCarry } from "./element_carry.js";
import { closeInput, fileSource, isStoredFile, type OpenedInput, openInput, readAt } from "./input_files.js";
import { brokenPromise, type Content, contentOf, HEAD_BYTES } from "./input_kind.js";
import { checkNpy, readNpyLayout } from "./npy.js";
import { formatCount } from "./numbers.js";

/** `auto` goes by the first bytes; the others say what every input is. */
export const INPUT_FORMATS = ["auto", "raw", "tiff", "npy"] as const;
export type InputFormat = (typeof INPUT_FORMATS)[number];

export interface InputOptions {
  /** `-` is stdin. */
  readonly inputs: readonly string[];
  readonly format: InputFormat;
  readonly dtype: DType;
  readonly itemBytes: number;
  readonly dimensions: readonly DimensionOptions[];
  /**
   * Most bytes of a piece of raw input; need not be a whole number of elements. What comes as a stream is gathered up
   * to there only while more of it has arrived already.
   */
  readonly appendBytes: number;
  readonly stdin: Readable;
  /** Ends the stream of pieces early, also one that waits for stdin, a named pipe or a slow file. */
  readonly signal: AbortSignal;
}

/** What is left when the input has ended. */
export interface InputEnd {
  /** Bytes of an element that the input broke off in. */
  readonly carriedBytes: number;
}

/**
 * Streams the inputs one after the other as views of whole elements, in the order given. What an input is, its first
 * bytes decide, never its
 * name: TIFF and NumPy files are read, other known files refused, and the rest is raw: little-endian, in C order. Raw
 * bytes of one input continue
 * those of the one before. A view is valid until the next one is asked for. Memory: one piece, or one plane and one
 * strip or tile of a TIFF.
 * @throws MillraceError INVALID_OPTION (an input cannot be opened), INVALID_DATA (it is not what it is taken for, or
 *   does not fit the array)
 */
export async function* readInputs(options: InputOptions): AsyncGenerator<Uint8Array, InputEnd> {
  const carry = new ElementCarry(options.itemBytes, options.appendBytes);
  try {
    for (const input of options.inputs) {
      if (options.signal.aborted) break;
      if (input === "-") yield* readStream("stdin", options.stdin, options, carry);
      else yield* readOpened(input, await openInput(input), options, carry);
    }
  } catch (error) {
    if (!options.signal.aborted || error !== options.signal.reason) throw error;
  }
  return { carriedBytes: carry.carriedBytes };
}

async function* readOpened(
  input: string,
  opened: OpenedInput,
  options: InputOptions,
  carry: ElementCarry,
): AsyncGenerator<Uint8Array, void> {
  if (opened.kind === "stream") return yield* readStream(input, opened.stream, options, carry);
  const { file, bytes } = opened;
  const { signal } = options;
  try {
    const head = new Uint8Array(HEAD_BYTES);
    const count = await readAt(file, 0, head, signal);
    const kind = kindOf(input, contentOf(head.subarray(0, count)), options.format);
    if (kind === "raw") {
      for (let at = 0; ; ) {
        const count = await readAt(file, at, carry.room().subarray(0, options.appendBytes), signal);
        if (count === 0) break;
        at += count;
        const piece = carry.filled(count);
        if (piece.byteLength > 0) yield piece;
      }
      return;
    }
    checkNothingCarried(input, options, carry);
    const source = fileSource(input, file, bytes, signal);
    if (kind === "tiff") {
      yield* (await TiffFile.open(source)).frames(options);
      return;
    }
    const layout = await readNpyLayout(source);
    checkNpy(source, layout, options);
    const piece = new Uint8Array(
      Math.max(options.itemBytes, options.appendBytes - (options.appendBytes % options.itemBytes)),
    );
    for (let at = 0; at < layout.dataBytes; at += piece.byteLength) {
      const part = piece.subarray(0, layout.dataBytes - at);
      await source.read(layout.dataOffset + at, part);
      if (!layout.littleEndian) swapSamples(part, options.itemBytes);
      yield part;
    }
  } finally {
    await closeInput(file, signal);
  }
}

/**
 * How an input is read.
 * @throws MillraceError INVALID_DATA for a known file that is not read, and for one that is not what its name or
 *   --input-format says
 */
function kindOf(input: string, content: Content | undefined, format: InputFormat): Exclude<InputFormat, "auto"> {
  const fail = (message: string, hint: string) =>
    new MillraceError("INVALID_DATA", `${input} ${message}`, {
      context: { input, content: content?.name ?? "unknown", format },
      hint,
    });
  if (format === "raw") return "raw";
  if (format !== "auto") {
    if (content?.kind === format) return format;
    throw fail(
      `is ${content?.name ?? "nothing known"}; --input-format says ${format}.`,
      "Leave the option out to go by the content.",
    );
  }
  if (content?.kind === "other") {
    throw fail(
      `is ${content.name}, which is not read.`,
      `${content.advice} If these are raw elements: --input-format raw.`,
    );
  }
  const promised = brokenPromise(input, content);
  if (promised !== undefined) {
    const found = content === undefined ? "nothing known" : `those of ${content.name}`;
    throw fail(
      `is no ${promised} file: its first bytes are ${found}.`,
      "If these are raw elements: --input-format raw.",
    );
  }
  return content?.kind ?? "raw";
}

/** An image begins with a whole element. */
function checkNothingCarried(input: string, options: InputOptions, carry: ElementCarry): void {
  if (carry.carriedBytes === 0) return;
  throw new MillraceError(
    "INVALID_DATA",
    `the input before ${input} ended ${formatCount(carry.carriedBytes, "byte")} into ` +
      `a ${options.dtype} of ${formatCount(options.itemBytes, "byte")}.`,
    { context: { input, carriedBytes: carry.carriedBytes } },
  );
}

/**
 * @throws MillraceError INVALID_DATA where a stream begins as a file that must be read from any place, or is refused
 */
function checkStream(name: string, head: Uint8Array, format: InputFormat): void {
  const kind = kindOf(name, contentOf(head), format);
  if (kind === "raw") return;
  throw new MillraceError(
    "INVALID_DATA",
    `${name} is ${kind === "tiff" ? "a TIFF image" : "a NumPy array"}; as a stream only raw elements are read.`,
    {
      context: { input: name, content: kind },
      hint: "Name the file with --input. If these are raw elements: --input-format raw.",
    },
  );
}

/**
 * Whether bytes have arrived beyond those taken. A pipe brings 64 KiB at a time, so the event loop is let round: one
 * turn may end behind the place where it reads, the second has read all that the system held.
 */
async function hasMore(stream: Readable): Promise<boolean> {
  for (let turn = 0; turn < 2 && stream.readableLength === 0; turn++) await setImmediate();
  return stream.readableLength > 0;
}

async function* readStream(
  name: string,
  stream: Readable,
  options: InputOptions,
  carry: ElementCarry,
): AsyncGenerator<Uint8Array, void> {
  let filled = 0;
  const head = new Uint8Array(HEAD_BYTES);
  let headBytes = 0;
  const mayBeSilent = !isStoredFile(stream);
  try {
    for await (const bytes of addAbortSignal(options.signal, stream) as AsyncIterable<Uint8Array>) {
      if (headBytes < HEAD_BYTES) {
        const part = bytes.subarray(0, HEAD_BYTES - headBytes);
        head.set(part, headBytes);
        headBytes += part.byteLength;
        checkStream(name, head.subarray(0, headBytes), options.format);
      }
      let taken = 0;
      while (taken < bytes.byteLength) {
        const count = Math.min(options.appendBytes - filled, bytes.byteLength - taken);
        carry.room().set(bytes.subarray(taken, taken + count), filled);
        filled += count;
        taken += count;
        if (filled === options.appendBytes) {
          filled = 0;
          const piece = carry.filled(options.appendBytes);
          if (piece.byteLength > 0) yield piece;
        }
      }
      // Rows that wait here count for nothing: not for --max-age, not after a crash.
      if (filled > 0 && mayBeSilent && !(await hasMore(stream))) {
        const piece = carry.filled(filled);
        filled = 0;
        if (piece.byteLength > 0) yield piece;
      }
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
  if (filled > 0) {
    const piece = carry.filled(filled);
    if (piece.byteLength > 0) yield piece;
  }
}
