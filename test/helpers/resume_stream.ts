import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { WriterOptions } from "../../src/options.js";
import type { ArrayWriter } from "../../src/writer/array_writer.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { elementBytes } from "./stream_model.js";
import { filesBelow } from "./temp_folder.js";

/** Rows one after the other, all appended or all skipped. */
export interface Stretch {
  readonly rows: number;
  readonly skipped: boolean;
}

export const appended = (rows: number): Stretch => ({ rows, skipped: false });
export const skipped = (rows: number): Stretch => ({ rows, skipped: true });

/** The first row count appended, the second skipped, and so on. */
export function stretchesOf(...counts: readonly number[]): Stretch[] {
  return counts.map((rows, i) => ({ rows, skipped: i % 2 === 1 }));
}

export type OpenWriter = (options: WriterOptions) => Promise<ArrayWriter>;

/**
 * Rows [from, to) of the one long stream that all writers of a test continue: every element differs from its
 * neighbours.
 */
export function rowBytes(writer: ArrayWriter, from: number, to: number): Uint8Array {
  const { rowElements, itemBytes } = writer.geometry;
  return elementBytes(from * rowElements, (to - from) * rowElements, itemBytes);
}

/** Opens a writer, adds the stretches behind what the store holds, and closes it. Returns the writer. */
export async function streamOn(
  options: WriterOptions,
  stretches: readonly Stretch[],
  open: OpenWriter = openWriter,
): Promise<ArrayWriter> {
  const writer = await open({ threads: "inline", backend: "cpu", publishIntervalMs: 0, ...options });
  let row = writer.watermarks.accepted;
  for (const stretch of stretches) {
    const to = row + stretch.rows;
    if (stretch.skipped) await writer.skip(stretch.rows);
    else await writer.append(rowBytes(writer, row, to));
    row = to;
  }
  await writer.close();
  return writer;
}

/**
 * Adds stretches behind what is there, and returns the content of the whole array, of a dtype of two bytes.
 * @param flushes after each stretch
 */
export const feedOn =
  (before: Uint8Array, stretches: readonly Stretch[], fill: number, flushes = false) =>
  async (writer: ArrayWriter): Promise<Uint8Array> => {
    const parts = [before];
    let row = writer.watermarks.accepted;
    for (const { rows, skipped } of stretches) {
      if (skipped) {
        await writer.skip(rows);
        parts.push(new Uint8Array(Uint16Array.from({ length: rows * writer.geometry.rowElements }, () => fill).buffer));
      } else {
        const bytes = rowBytes(writer, row, row + rows);
        await writer.append(bytes);
        parts.push(bytes);
      }
      row += rows;
      if (flushes) await writer.flush();
    }
    return new Uint8Array(Buffer.concat(parts));
  };

/** Cuts stretches behind `rows` rows; the one that is met is split. */
export function cut(stretches: readonly Stretch[], rows: number): [Stretch[], Stretch[]] {
  const before: Stretch[] = [];
  const after: Stretch[] = [];
  let left = rows;
  for (const { rows: count, skipped } of stretches) {
    const now = Math.min(count, left);
    left -= now;
    if (now > 0) before.push({ rows: now, skipped });
    if (count > now) after.push({ rows: count - now, skipped });
  }
  return [before, after];
}

export function totalRows(stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, { rows }) => sum + rows, 0);
}

/** Every file of a folder, by key. */
export async function contentOfFolder(folder: string): Promise<Map<string, Uint8Array>> {
  const content = new Map<string, Uint8Array>();
  for (const name of await filesBelow(folder)) content.set(name, new Uint8Array(await readFile(join(folder, name))));
  return content;
}

/** Keys in which two stores differ. */
export function differing(a: ReadonlyMap<string, Uint8Array>, b: ReadonlyMap<string, Uint8Array>): string[] {
  const keys = new Set([...a.keys(), ...b.keys()]);
  return [...keys].filter((key) => {
    const [one, other] = [a.get(key), b.get(key)];
    return one === undefined || other === undefined || Buffer.compare(one, other) !== 0;
  });
}
