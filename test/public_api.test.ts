import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const index = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist", "index.js");

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
        "throttledSink",
        "verifyStore",
      ]
    `);
  });
});
