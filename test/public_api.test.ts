import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readPublicTypes } from "./helpers/public_types.js";

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

describe.each(["index", "browser"])("types of %s.d.ts", (name) => {
  const found = readPublicTypes(join(dist, `${name}.d.ts`).replaceAll("\\", "/"));

  it("say what each export and each member of it is", () => {
    expect(found.undocumented).toEqual([]);
  });

  it("can all be imported that a public signature names", () => {
    expect(found.unexported).toEqual([]);
  });

  it("are right for a strict program that has no types of Node or WebGPU", () => {
    expect(found.errors).toEqual([]);
  });

  it("are these, besides the names of values", () => {
    expect(found.types).toMatchSnapshot();
  });
});
