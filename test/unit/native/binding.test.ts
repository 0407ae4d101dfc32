import { describe, expect, test } from "vitest";
import { NATIVE_ABI_VERSION } from "../../../src/native/addon.js";
import { findAddon } from "../../../src/native/binding.js";

const good = { abiVersion: NATIVE_ABI_VERSION };

function source(files: Record<string, () => unknown>, candidates = ["/pre/millrace.node", "/built/millrace.node"]) {
  return { candidates, exists: (path: string) => path in files, load: (path: string) => files[path]() };
}

describe("findAddon", () => {
  test("the first candidate that exists wins", () => {
    const built = { ...good };
    const both = findAddon(source({ "/pre/millrace.node": () => good, "/built/millrace.node": () => built }));
    expect(both.addon).toBe(good);
    expect(both.status).toEqual({ loaded: true, path: "/pre/millrace.node", reason: "loaded", hint: "" });
    expect(findAddon(source({ "/built/millrace.node": () => built })).addon).toBe(built);
  });

  test("nothing built: says so, and how to build", () => {
    const { addon, status } = findAddon(source({}));
    expect(addon).toBeUndefined();
    expect(status).toMatchObject({
      loaded: false,
      reason: expect.stringMatching(/^(it has not been built|there is none)/),
    });
    if (process.platform === "linux") expect(status.hint).toContain("npx millrace build-addon");
  });

  test("a prebuilt file that does not load gives way to a built one; alone, its error is the reason", () => {
    const broken = () => {
      throw new Error("GLIBC_2.36 not found");
    };
    expect(findAddon(source({ "/pre/millrace.node": broken, "/built/millrace.node": () => good })).status.path).toBe(
      "/built/millrace.node",
    );
    expect(findAddon(source({ "/pre/millrace.node": broken })).status).toMatchObject({
      loaded: false,
      path: "/pre/millrace.node",
      reason: "GLIBC_2.36 not found",
    });
  });

  test("another interface version is refused and named", () => {
    const { addon, status } = findAddon(source({ "/built/millrace.node": () => ({ abiVersion: 999 }) }));
    expect(addon).toBeUndefined();
    expect(status.reason).toContain("999");
    expect(status.reason).toContain(String(NATIVE_ABI_VERSION));
  });
});
