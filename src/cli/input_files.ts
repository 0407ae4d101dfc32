import { closeSync, constants, ReadStream as FileStream, fstatSync, openSync, read } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { isatty, ReadStream } from "node:tty";
import { promisify } from "node:util";
import { MillraceError } from "../base/errors.js";
import type { ByteSource } from "../tiff/byte_source.js";

/** An input that has been opened: a file that is read from any place, or bytes as they come. */
export type OpenedInput =
  | { readonly kind: "file"; readonly file: FileHandle; readonly bytes: number }
  | { readonly kind: "stream"; readonly stream: Readable };

/** Whether the input may be silent for long: stdin, a named pipe, a device. */
export async function isLive(input: string): Promise<boolean> {
  if (input === "-") return true;
  const stats = await stat(input).catch((cause) => {
    throw unreadable(input, cause);
  });
  return stats.isFIFO() || stats.isCharacterDevice();
}

/** Whether stdin is a file that the shell has opened: its bytes are all there, although they come as a stream. */
export function isStoredFile(stream: Readable): boolean {
  // Node reads devices through such streams too.
  if (!(stream instanceof FileStream)) return false;
  const { fd } = stream as { fd?: unknown };
  return typeof fd === "number" && fstatSync(fd).isFile();
}

/**
 * Opens what `--input` names. Nothing that waits for a producer is opened or read in a way that occupies a thread: such
 * a thread could not
 * be called back, neither by a signal nor at the end of the process.
 * @throws MillraceError INVALID_OPTION (no such file, no permission, a folder)
 */
export async function openInput(input: string): Promise<OpenedInput> {
  try {
    const stats = await stat(input);
    if (stats.isFIFO() || stats.isCharacterDevice()) {
      // Opening a named pipe waits for its writer unless it is told not to. There is no end of file before a writer has
      // come and gone.
      const fd = openSync(input, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      if (stats.isFIFO()) return { kind: "stream", stream: new Socket({ fd, readable: true, writable: false }) };
      if (isatty(fd)) return { kind: "stream", stream: new ReadStream(fd) };
      return { kind: "stream", stream: Readable.from(readDevice(fd), { objectMode: false, highWaterMark: 2 ** 16 }) };
    }
    if (!stats.isDirectory()) {
      const file = await open(input, "r");
      return { kind: "file", file, bytes: stats.size };
    }
  } catch (cause) {
    throw unreadable(input, cause);
  }
  throw new MillraceError("INVALID_OPTION", `--input ${input} is a folder; name its files.`, {
    context: { option: "input", input },
  });
}

function unreadable(input: string, cause: unknown): MillraceError {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
  const reason = code === "ENOENT" ? "there is no such file" : code === "EACCES" ? "reading it is not allowed" : code;
  return new MillraceError("INVALID_OPTION", `--input ${input} cannot be read: ${reason}.`, {
    context: { option: "input", input, reason: code },
    cause,
  });
}

/** How long a device that has nothing is left alone. */
const DEVICE_PAUSE_MS = 5;

const readFd = promisify(read);

/** A device's bytes. Drivers cannot be waited for in general, so one that has nothing is asked again after a while. */
async function* readDevice(fd: number): AsyncGenerator<Uint8Array, void> {
  const buffer = new Uint8Array(2 ** 16);
  try {
    for (;;) {
      let count: number;
      try {
        count = (await readFd(fd, buffer, 0, buffer.length, null)).bytesRead;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        await setTimeout(DEVICE_PAUSE_MS);
        continue;
      }
      if (count === 0) return;
      yield buffer.slice(0, count);
    }
  } finally {
    closeSync(fd);
  }
}

/** What is used of a file handle. */
type PositionedFile = Pick<FileHandle, "read" | "close">;

/**
 * Reads at a place of the file, as much as there is up to `dst`'s length.
 * @returns bytes read; 0 at the end
 * @throws the signal's reason at once when it aborts: a read of a slow network file is left behind, nobody waits for it
 */
export async function readAt(file: PositionedFile, at: number, dst: Uint8Array, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    const { bytesRead } = await Promise.race([file.read(dst, 0, dst.length, at), aborted]);
    return bytesRead;
  } finally {
    signal.removeEventListener("abort", onAbort!);
  }
}

/** Closes a file. One whose read was left behind closes when that ends: nobody waits for it. */
export async function closeInput(file: PositionedFile, signal: AbortSignal): Promise<void> {
  const closing = file.close();
  if (!signal.aborted) await closing;
  // Nobody is left to be told, and nothing was written through this handle.
  else closing.catch(() => {});
}

/** The file as what the TIFF reader reads from. Reads end with the signal's reason when it aborts. */
export function fileSource(name: string, file: PositionedFile, bytes: number, signal: AbortSignal): ByteSource {
  return {
    name,
    bytes,
    async read(at, dst) {
      for (let done = 0; done < dst.length; ) {
        // One call of the system reads 2 GiB at most.
        const part = dst.subarray(done, Math.min(dst.length, done + 2 ** 30));
        const count = await readAt(file, at + done, part, signal);
        if (count === 0) {
          throw new MillraceError("INVALID_DATA", `${name} ended at byte ${at + done} while it was read.`, {
            context: { input: name, at: at + done },
          });
        }
        done += count;
      }
    },
  };
}
