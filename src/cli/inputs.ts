import { constants } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { addAbortSignal, type Readable } from "node:stream";
import { MillraceError } from "../base/errors.js";
import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import { ElementCarry } from "./element_carry.js";
import { tiffFrames } from "./tiff_frames.js";

export interface InputOptions {
  /** `-` is stdin; `.tif` and `.tiff` are TIFF; every other name is raw bytes, little-endian, C order. */
  readonly inputs: readonly string[];
  readonly dtype: DType;
  readonly itemBytes: number;
  readonly dimensions: readonly DimensionOptions[];
  /** Bytes per piece of raw input. Need not be a whole number of elements. */
  readonly appendBytes: number;
  readonly stdin: Readable;
  /** Ends the stream of pieces early, also one that waits for stdin. */
  readonly signal: AbortSignal;
}

/** What is left when the input has ended. */
export interface InputEnd {
  /** Bytes of an element that the input broke off in. */
  readonly carriedBytes: number;
}

/**
 * Streams the inputs one after the other as views of whole elements, in the order given. Raw bytes of one input continue those of
 * the one before. A view is valid until the next one is asked for. Memory: one piece, or one whole TIFF file.
 * @throws MillraceError INVALID_OPTION (an input cannot be opened), INVALID_DATA (a TIFF does not fit the array)
 */
export async function* readInputs(options: InputOptions): AsyncGenerator<Uint8Array, InputEnd> {
  const carry = new ElementCarry(options.itemBytes, options.appendBytes);
  for (const input of options.inputs) {
    if (options.signal.aborted) break;
    if (input === "-") {
      yield* readStdin(options, carry);
    } else if (/\.tiff?$/i.test(input)) {
      if (carry.carriedBytes > 0) {
        throw new MillraceError(
          "INVALID_DATA",
          `the input before ${input} ended ${carry.carriedBytes} bytes into a ${options.dtype} of ${options.itemBytes} bytes.`,
          { context: { input, carriedBytes: carry.carriedBytes } },
        );
      }
      for (const frame of tiffFrames(await readWhole(input), { input, ...options })) {
        if (options.signal.aborted) break;
        yield frame;
      }
    } else {
      yield* readRaw(input, options, carry);
    }
  }
  return { carriedBytes: carry.carriedBytes };
}

async function* readRaw(input: string, options: InputOptions, carry: ElementCarry): AsyncGenerator<Uint8Array, void> {
  const file = await openInput(input);
  try {
    while (!options.signal.aborted) {
      const { bytesRead } = await file.read(carry.room(), 0, options.appendBytes);
      if (bytesRead === 0) break;
      const piece = carry.filled(bytesRead);
      if (piece.byteLength > 0) yield piece;
    }
  } finally {
    await file.close();
  }
}

async function* readStdin(options: InputOptions, carry: ElementCarry): AsyncGenerator<Uint8Array, void> {
  // A pipe brings 64 KiB at a time: pieces are filled up to --append-bytes, so that the option means the same for every input.
  let filled = 0;
  try {
    for await (const bytes of addAbortSignal(options.signal, options.stdin) as AsyncIterable<Uint8Array>) {
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
    }
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
  if (filled > 0) {
    const piece = carry.filled(filled);
    if (piece.byteLength > 0) yield piece;
  }
}

/** The whole file in one buffer. Reads in steps, because fs.readFile stops at 2 GiB and a classic TIFF at 4. */
async function readWhole(input: string): Promise<Uint8Array> {
  const file = await openInput(input);
  try {
    const { size } = await file.stat();
    if (size > Math.min(constants.MAX_LENGTH, 2 ** 32)) {
      throw new MillraceError("INVALID_DATA", `${input} has ${size} bytes; a TIFF is read whole, up to 4 GiB.`, {
        context: { input, size },
        hint: "Split it, or convert it to raw frames.",
      });
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const { bytesRead } = await file.read(bytes, at, Math.min(size - at, 2 ** 30));
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes.subarray(0, at);
  } finally {
    await file.close();
  }
}

async function openInput(input: string): Promise<FileHandle> {
  try {
    const file = await open(input, "r");
    const stat = await file.stat();
    if (!stat.isDirectory()) return file;
    await file.close();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
    const reason = code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "reading it is not allowed" : code;
    throw new MillraceError("INVALID_OPTION", `--input ${input} cannot be read: ${reason}.`, {
      context: { option: "input", input, reason: code },
      cause,
    });
  }
  throw new MillraceError("INVALID_OPTION", `--input ${input} is a folder; name its files.`, {
    context: { option: "input", input },
  });
}
