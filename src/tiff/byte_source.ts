import { MillraceError } from "../base/errors.js";

/** A file that is read from any place: what the reader needs of it, so that it never opens one itself. */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  /** Length of the file. */
  readonly bytes: number;
  /**
   * Fills all of `dst` from byte `at` on. The caller stays inside the file.
   * @throws MillraceError INVALID_DATA where the file has become shorter
   */
  readonly read: (at: number, dst: Uint8Array) => Promise<void>;
}

/** A source over bytes in memory. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    bytes: bytes.byteLength,
    async read(at, dst) {
      dst.set(bytes.subarray(at, at + dst.byteLength));
    },
  };
}

/** Refuses a file, or one page of it. */
export function refused(
  source: Pick<ByteSource, "name">,
  page: number | undefined,
  message: string,
  context: Readonly<Record<string, string | number>> = {},
  hint?: string,
): MillraceError {
  const where = page === undefined ? source.name : `${source.name}, page ${page}`;
  return new MillraceError("INVALID_DATA", `${where}: ${message}`, {
    context: { input: source.name, ...(page === undefined ? {} : { page }), ...context },
    hint,
  });
}

const WINDOW_BYTES = 8192;

/**
 * Reads small pieces through one window: directories often lie side by side, and a system call a field would be slow.
 */
export class SmallReads {
  readonly #source: ByteSource;
  #window = new Uint8Array(0);
  #start = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /**
   * `length` bytes from `at` on. Valid for as long as the caller likes.
   * @returns undefined where that leaves the file
   */
  async at(at: number, length: number): Promise<DataView | undefined> {
    if (!Number.isSafeInteger(at) || at < 0 || length > this.#source.bytes - at) return undefined;
    if (at < this.#start || at + length > this.#start + this.#window.byteLength) {
      const window = new Uint8Array(Math.min(Math.max(length, WINDOW_BYTES), this.#source.bytes - at));
      await this.#source.read(at, window);
      this.#window = window;
      this.#start = at;
    }
    const { buffer, byteOffset } = this.#window;
    return new DataView(buffer, byteOffset + at - this.#start, length);
  }
}
