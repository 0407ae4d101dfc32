import { openArray } from "../../src/store/array_reader.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { elementBytes } from "./stream_model.js";

/**
 * A short stream that meets every ordering rule: many generations, a reservation across a flush, several shard rows
 * with edges.
 */
const FRAME_BYTES = 24 * 40 * 2;
const FRAMES = 26;
const EXPECTED = elementBytes(0, (FRAMES * FRAME_BYTES) / 2, 2);

export const RULE_ARRAY = {
  dtype: "uint16",
  codec: { name: "none" },
  dimensions: [
    { name: "t", size: null, chunk: 2, shard: 4 },
    { name: "y", size: 24, chunk: 10, shard: 20 },
    { name: "x", size: 40, chunk: 16, shard: 32 },
  ],
} as const;

/**
 * Streams it and closes the writer. Rejects with the first error, or what `complaint` says at the end, if anything.
 * @param pauseMs how long a slot stands half full.
 */
export async function driveRules(writer: ArrayWriter, pauseMs: number, complaint?: () => unknown): Promise<void> {
  let failure: unknown;
  writer.on("error", (error) => {
    failure ??= error;
  });
  const frames = (from: number, to: number): Uint8Array => EXPECTED.subarray(from * FRAME_BYTES, to * FRAME_BYTES);
  try {
    await writer.append(frames(0, 3));
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    const room = writer.reserve(FRAME_BYTES);
    await writer.flush().catch((error) => {
      if (error.code !== "RESERVE_STATE") throw error;
    });
    if (room === null) throw new Error("no slot was free");
    room.set(frames(3, 4));
    writer.commit(FRAME_BYTES);
    await writer.append(frames(4, FRAMES));
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  failure ??= complaint?.();
  if (failure !== undefined) throw failure;
}

/** Throws when the stored values are wrong, or any file differs from the one of `reference`. */
export async function compareRules(
  files: ReadonlyMap<string, Uint8Array>,
  reference: ReadonlyMap<string, Uint8Array> | undefined,
): Promise<void> {
  const array = await openArray(files);
  const { data } = await array.readRegion([0, 0, 0], [FRAMES, 24, 40]);
  if (Buffer.compare(data, EXPECTED) !== 0) throw new Error("values differ");
  for (const [key, bytes] of reference ?? []) {
    if (Buffer.compare(bytes, files.get(key) as Uint8Array) !== 0) throw new Error(`bytes of ${key} differ`);
  }
}
