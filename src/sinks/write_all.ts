import { assert } from "../base/assert.js";
import type { OpenFile } from "./file_system.js";

/** IOV_MAX of Linux and macOS: writev takes no more buffers. */
export const SEGMENTS_PER_CALL_MAX = 1024;

/** Sum of the lengths. */
export function totalBytes(segments: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const segment of segments) bytes += segment.byteLength;
  return bytes;
}

/**
 * Writes every byte of `segments` at `position`, however often the system takes only a part (one call moves at most
 * 2 GiB − 4 KiB on Linux, fewer when a signal or the end of the disk comes in between).
 * Rejects with the system's error; how much of the file was changed is then unknown.
 */
export async function writeAll(file: OpenFile, segments: readonly Uint8Array[], position: number): Promise<void> {
  let index = 0;
  let consumed = 0;
  let at = position;
  for (;;) {
    const views: Uint8Array[] = [];
    let asked = 0;
    for (let i = index; i < segments.length && views.length < SEGMENTS_PER_CALL_MAX; i++) {
      const view = i === index && consumed > 0 ? segments[i].subarray(consumed) : segments[i];
      if (view.byteLength === 0) continue;
      views.push(view);
      asked += view.byteLength;
    }
    if (asked === 0) return;

    const written = await file.writev(views, at);
    assert(Number.isSafeInteger(written) && written <= asked, "a write reports what it wrote", { written, asked });
    // Zero is no error to the kernel, and would make this a loop without end.
    if (written <= 0) throw Object.assign(new Error("the system wrote no bytes"), { code: "EIO", syscall: "writev" });
    at += written;
    consumed += written;
    while (index < segments.length && consumed >= segments[index].byteLength) {
      consumed -= segments[index].byteLength;
      index++;
    }
  }
}
