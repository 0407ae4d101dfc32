import type { Readable, Writable } from "node:stream";

/** Where a command reads and writes; the tests pass their own. */
export interface CliIo {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable;
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** What a command needs from its surroundings, and where it leaves its exit code. */
export interface CommandContext {
  readonly io: CliIo;
  /** Called once by a command that ends well or finds the store bad; errors are thrown instead. */
  readonly finish: (exitCode: number) => void;
}

/**
 * The process's own streams. A reader that goes away (`millrace inspect … | head`) is not an error of ours: EPIPE on
 * stdout is swallowed, and so is EIO of a terminal that is gone, whose SIGHUP closes the store; every other stream
 * error stays fatal.
 */
export function processIo(): CliIo {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && !(error.code === "EIO" && stream.isTTY)) throw error;
    });
  }
  return { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr };
}
