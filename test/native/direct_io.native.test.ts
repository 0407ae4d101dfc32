import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DirectFileHandle } from "../../src/native/addon.js";
import { addon, codeOf, hasAddon, sharedBytes } from "./addon_fixture.js";

const folder = hasAddon ? mkdtempSync(join(process.env.MILLRACE_TEST_DISK ?? tmpdir(), "millrace-native-")) : "";
let files = 0;
const newPath = () => join(folder, `file-${files++}`);

const supported = (() => {
  if (!hasAddon) return false;
  try {
    addon.directAbandon(addon.directOpen(newPath()));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "NATIVE_DIRECT_UNSUPPORTED") throw error;
    return false;
  }
})();

function append(file: DirectFileHandle, views: Uint8Array[]): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => addon.directAppend(file, views, resolve));
}

function finish(file: DirectFileHandle, sync: boolean): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => addon.directFinish(file, sync, resolve));
}

describe.runIf(supported)("direct files", () => {
  afterAll(() => rmSync(folder, { recursive: true }));

  test("random appends give the bytes that were sent", async () => {
    const source = sharedBytes(1 << 21);
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.array(fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 9000 }), fc.nat({ max: 1 << 20 })), { maxLength: 4 }),
          {
            maxLength: 6,
          },
        ),
        fc.boolean(),
        async (appends, sync) => {
          const path = newPath();
          const file = addon.directOpen(path);
          const sent: Uint8Array[] = [];
          for (const [a, lengths] of appends.entries()) {
            const views = lengths.map((length, i) => source.subarray(a * 131 + i * 17, a * 131 + i * 17 + length));
            sent.push(...views);
            expect(await append(file, views)).toBeNull();
          }
          expect(await finish(file, sync)).toBeNull();
          expect(readFileSync(path).equals(Buffer.concat(sent))).toBe(true);
        },
      ),
      { numRuns: 15 },
    );
  });

  test("views are held until the call back, and the list is the caller's to change", async () => {
    const path = newPath();
    const file = addon.directOpen(path);
    const views = [Buffer.alloc(100_000, 1), Buffer.alloc(5, 2)];
    const done = append(file, views);
    views.length = 0;
    expect(await done).toBeNull();
    expect(await finish(file, false)).toBeNull();
    expect(statSync(path).size).toBe(100_005);
  });

  test("errors look like those of node:fs", () => {
    const path = newPath();
    addon.directAbandon(addon.directOpen(path));
    expect(() => addon.directOpen(path)).toThrow(
      expect.objectContaining({
        code: "EEXIST",
        errno: -17,
        syscall: "open",
        path,
        message: expect.stringContaining(path),
      }),
    );
    expect(codeOf(() => addon.directOpen(join(folder, "no", "such")))).toBe("ENOENT");
    expect(codeOf(() => addon.directOpen(`${path}\0x`))).toBe("NATIVE_ARGUMENT");
  });

  test("one call at a time; none after the end", async () => {
    const file = addon.directOpen(newPath());
    const first = append(file, [new Uint8Array(10_000)]);
    expect(codeOf(() => addon.directAppend(file, [], () => {}))).toBe("NATIVE_DIRECT_BUSY");
    expect(codeOf(() => addon.directFinish(file, false, () => {}))).toBe("NATIVE_DIRECT_BUSY");
    expect(await first).toBeNull();
    expect(await finish(file, false)).toBeNull();
    expect(codeOf(() => addon.directAppend(file, [], () => {}))).toBe("NATIVE_DIRECT_CLOSED");
    expect(codeOf(() => addon.directFinish(file, false, () => {}))).toBe("NATIVE_DIRECT_CLOSED");
    addon.directAbandon(file);
  });

  test("abandon, also while an append runs", async () => {
    const path = newPath();
    const file = addon.directOpen(path);
    const running = append(file, [new Uint8Array(3_000_000)]);
    addon.directAbandon(file);
    expect(await running).toBeNull();
    expect(codeOf(() => addon.directAppend(file, [], () => {}))).toBe("NATIVE_DIRECT_CLOSED");
    addon.directAbandon(file);
    // Whole pages are out, the tail is not.
    expect(statSync(path).size % 512).toBe(0);
  });

  test("more files than bounce buffers and libuv threads", async () => {
    const paths = Array.from({ length: 12 }, newPath);
    await Promise.all(
      paths.map(async (path, i) => {
        const file = addon.directOpen(path);
        for (let a = 0; a < 5; a++) expect(await append(file, [Buffer.alloc(300_001 + i, i + 1)])).toBeNull();
        expect(await finish(file, false)).toBeNull();
      }),
    );
    for (const [i, path] of paths.entries()) {
      expect(readFileSync(path).equals(Buffer.alloc(5 * (300_001 + i), i + 1))).toBe(true);
    }
  });
});
