import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const index = join(dist, "index.js");
const browser = join(dist, "browser.js");

/** What users may import. A name that goes, or comes, is a decision: change the list together with CHANGELOG.md. */
describe("public names", () => {
  it("are these", async () => {
    expect(existsSync(index), "run npm run build first").toBe(true);
    expect(Object.keys(await import(index)).sort()).toMatchInlineSnapshot(`
      [
        "ArrayWriter",
        "DTYPES",
        "ERROR_CODES",
        "MillraceError",
        "adviseLayout",
        "discardSink",
        "estimateMemory",
        "fileSink",
        "inspectStore",
        "isMillraceError",
        "memorySink",
        "moduleSink",
        "openArray",
        "openWriter",
        "recoverStore",
        "s3Sink",
        "s3Store",
        "storedArrayOptions",
        "throttledSink",
        "verifyStore",
      ]
    `);
  });

  it("for web pages are these", async () => {
    expect(existsSync(browser), "run npm run build first").toBe(true);
    expect(Object.keys(await import(browser)).sort()).toMatchInlineSnapshot(`
      [
        "ArrayWriter",
        "DTYPES",
        "ERROR_CODES",
        "MillraceError",
        "discardSink",
        "estimateMemory",
        "isMillraceError",
        "memorySink",
        "moduleSink",
        "openWriter",
        "throttledSink",
      ]
    `);
  });
});
