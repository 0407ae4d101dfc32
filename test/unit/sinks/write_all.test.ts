import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OpenFile } from "../../../src/sinks/file_system.js";
import { SEGMENTS_PER_CALL_MAX, totalBytes, writeAll } from "../../../src/sinks/write_all.js";
import { coordinateBytes, sharedPieces } from "../../contract/sink.contract.js";

/** A file in memory that takes at most `take()` bytes a call. */
function slowFile(take: () => number) {
  const bytes: number[] = [];
  const calls: { segments: number; position: number }[] = [];
  const file: Pick<OpenFile, "writev"> = {
    async writev(views, position) {
      calls.push({ segments: views.length, position });
      expect(views.length).toBeLessThanOrEqual(SEGMENTS_PER_CALL_MAX);
      expect(views.every((view) => view.byteLength > 0)).toBe(true);
      const all = views.flatMap((view) => [...view]).slice(0, take());
      for (const [i, byte] of all.entries()) bytes[position + i] = byte;
      return all.length;
    },
  };
  return { file: file as OpenFile, bytes, calls };
}

describe("writeAll", () => {
  it("writes every byte at its place, however few each call takes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(300),
        fc.array(fc.nat(300), { maxLength: 20 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 90 })),
        fc.nat(10),
        async (length, cuts, takes, position) => {
          const data = coordinateBytes(1, length);
          const { file, bytes } = slowFile(() => takes.next().value!);
          await writeAll(file, sharedPieces(data, cuts), position);
          expect(bytes.slice(position)).toEqual([...data]);
        },
      ),
    );
  });

  it("gives the system no more segments than it takes", async () => {
    const data = coordinateBytes(2, 2500);
    const { file, bytes, calls } = slowFile(() => 1e9);
    await writeAll(
      file,
      sharedPieces(
        data,
        Array.from({ length: 2499 }, (_, i) => i + 1),
      ),
      0,
    );
    expect(bytes).toEqual([...data]);
    expect(calls.map((call) => call.segments)).toEqual([1024, 1024, 452]);
  });

  it("makes no call for nothing", async () => {
    const { file, calls } = slowFile(() => 1);
    await writeAll(file, [], 5);
    await writeAll(file, [new Uint8Array(0), new Uint8Array(0)], 5);
    expect(calls).toEqual([]);
  });

  it("does not loop when the system takes nothing", async () => {
    const { file } = slowFile(() => 0);
    await expect(writeAll(file, [coordinateBytes(1, 4)], 0)).rejects.toMatchObject({ code: "EIO", syscall: "writev" });
  });

  it("adds up", () => {
    expect(totalBytes([new Uint8Array(3), new Uint8Array(0), new Uint8Array(4)])).toBe(7);
  });
});
