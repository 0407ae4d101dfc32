import { execFileSync } from "node:child_process";
import { constants, existsSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDims } from "../../../src/cli/dims.js";
import { closeInput, fileSource, isLive, readAt } from "../../../src/cli/input_files.js";
import { type InputEnd, readInputs } from "../../../src/cli/inputs.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-input-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

function hasMkfifo(): boolean {
  try {
    execFileSync("mkfifo", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function fifo(name: string): string {
  const path = join(folder, name);
  execFileSync("mkfifo", [path]);
  return path;
}

function read(input: string, signal: AbortSignal, appendBytes = 4): AsyncGenerator<Uint8Array, InputEnd> {
  return readInputs({
    inputs: [input],
    format: "auto",
    dtype: "uint16",
    itemBytes: 2,
    dimensions: parseDims("t:0:1,x:2:1"),
    appendBytes,
    stdin: Readable.from([]),
    signal,
  });
}

async function rest(pieces: AsyncGenerator<Uint8Array, InputEnd>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const piece of pieces) bytes.push(...piece);
  return bytes;
}

describe.skipIf(!hasMkfifo())("a named pipe", () => {
  it("ends at the signal while no writer has opened it", async () => {
    const stop = new AbortController();
    const reading = rest(read(fifo("unopened"), stop.signal));
    setTimeout(() => stop.abort(), 20);
    expect(await reading).toEqual([]);
  });

  it("ends at the signal when its writer has gone silent, with what had come", async () => {
    const path = fifo("silent");
    const stop = new AbortController();
    const pieces = read(path, stop.signal);
    const first = pieces.next();
    // Resolves when the reader is there too.
    const writer = await open(path, "w");
    await writer.write(Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    expect([...((await first).value as Uint8Array)]).toEqual([1, 2, 3, 4]);
    const reading = rest(pieces);
    setTimeout(() => stop.abort(), 20);
    expect(await reading).toEqual([5, 6]);
    await writer.close();
  });

  it("ends when its writer closes it; one that comes back finds no reader", async () => {
    const path = fifo("closed");
    const reading = rest(read(path, new AbortController().signal));
    const writer = await open(path, "w");
    await writer.write(Uint8Array.of(1, 2, 3, 4));
    await writer.write(Uint8Array.of(5, 6));
    await writer.close();
    expect(await reading).toEqual([1, 2, 3, 4, 5, 6]);
    await expect(open(path, constants.O_WRONLY | constants.O_NONBLOCK)).rejects.toMatchObject({ code: "ENXIO" });
  });

  it("is live, as stdin is, and a file is not", async () => {
    expect(await isLive(fifo("live"))).toBe(true);
    expect(await isLive("-")).toBe(true);
    expect(await isLive(import.meta.filename)).toBe(false);
    await expect(isLive(join(folder, "absent"))).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe.skipIf(!existsSync("/dev/zero"))("a device", () => {
  it("is read until the signal", async () => {
    const stop = new AbortController();
    let bytes = 0;
    for await (const piece of read("/dev/zero", stop.signal, 1000)) {
      bytes += piece.byteLength;
      if (bytes >= 100_000) stop.abort();
    }
    expect(bytes).toBeGreaterThanOrEqual(100_000);
  });
});

describe("a read that does not come back", () => {
  const stuck = { read: () => new Promise<never>(() => {}), close: () => new Promise<never>(() => {}) };

  it("is left behind at the signal, and so is the closing of its file", async () => {
    const stop = new AbortController();
    const reading = readAt(stuck, 0, new Uint8Array(4), stop.signal);
    const source = fileSource("a", stuck, 100, stop.signal).read(0, new Uint8Array(4));
    const gone = new Error("gone");
    stop.abort(gone);
    await expect(reading).rejects.toBe(gone);
    await expect(source).rejects.toBe(gone);
    await closeInput(stuck, stop.signal);
    await expect(readAt(stuck, 0, new Uint8Array(4), stop.signal)).rejects.toBe(gone);
  });

  it("of a file that has become shorter is refused", async () => {
    const short = { read: async () => ({ bytesRead: 0, buffer: new Uint8Array(0) }), close: async () => {} };
    const source = fileSource("a", short as never, 100, new AbortController().signal);
    await expect(source.read(0, new Uint8Array(4))).rejects.toMatchObject({ code: "INVALID_DATA" });
  });
});
