import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { addonStatus } from "../../src/native/binding.js";
import { hasAddon } from "./addon_fixture.js";

const { neededVersions } = await import(new URL("../../scripts/symbol_versions.js", import.meta.url).href);

describe.runIf(hasAddon && process.platform === "linux")("the addon's symbols", () => {
  it("need the C library alone: another machine's libstdc++ may be older than the compiler's", () => {
    const versions: string[] = neededVersions(readFileSync(addonStatus().path!));
    expect(versions).toContainEqual(expect.stringMatching(/^GLIBC_2\./));
    expect(versions.filter((version) => !/^GLIBC_\d/.test(version))).toEqual([]);
  });

  it("are read of ELF files only", () => {
    expect(() => neededVersions(Buffer.alloc(100))).toThrow("ELF");
  });
});
