import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../../helpers/temp_folder.js";

/** The build script in a package of its own, with a compiler that writes what it was told, and no CMake. */
let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
  for (const name of ["scripts", "native/core", "native/bind", "bin", "include"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  cpSync(
    fileURLToPath(new URL("../../../scripts/build_native.js", import.meta.url)),
    join(folder, "scripts/build_native.js"),
  );
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "CMakeLists.txt"), "");
  writeFileSync(join(folder, "native/addon.cc"), "one");
  writeFileSync(join(folder, "include/node_api.h"), "");
  setCompiler("1.0");
});
afterEach(() => removeFolder(folder));

function setCompiler(version: string): void {
  const script = `#!/bin/sh
if [ "$1" = --version ]; then echo "${version}"; exit 0; fi
for last; do if [ "$before" = -o ]; then echo "by ${version} $CXXFLAGS" >"$last"; fi; before=$last; done
`;
  writeFileSync(join(folder, "bin/c++"), script, { mode: 0o755 });
}

function build(args: readonly string[] = [], env: Record<string, string> = {}) {
  const { status, stderr } = spawnSync(process.execPath, [join(folder, "scripts/build_native.js"), ...args], {
    encoding: "utf8",
    env: { PATH: join(folder, "bin"), MILLRACE_NODE_INCLUDE_DIR: join(folder, "include"), ...env },
  });
  return { status, stderr };
}

const binary = (): string => readFileSync(join(folder, "build/Release/millrace.node"), "utf8").trim();

describe.runIf(process.platform === "linux")("the addon is built again", () => {
  it("when a source, the compiler or its flags are other ones, and not otherwise", () => {
    expect(build()).toMatchObject({ status: 0, stderr: expect.stringContaining("built build/Release/millrace.node") });
    expect(binary()).toBe("by 1.0");
    expect(build()).toEqual({ status: 0, stderr: "" });
    setCompiler("2.0");
    expect(build().stderr).toContain("built");
    expect(binary()).toBe("by 2.0");
    expect(build([], { CXXFLAGS: "-g" }).stderr).toContain("built");
    expect(binary()).toBe("by 2.0 -g");
    writeFileSync(join(folder, "native/addon.cc"), "two");
    expect(build([], { CXXFLAGS: "-g" }).stderr).toContain("built");
    expect(build(["--verbose"], { CXXFLAGS: "-g" }).stderr).toBe("millrace: the native addon is up to date\n");
  });

  it("when it has no stamp, or one of another form", () => {
    build();
    writeFileSync(join(folder, "build/Release/millrace.node.stamp.json"), "00ff");
    expect(build().stderr).toContain("built");
  });

  it("never without a compiler, as long as the sources are those it was built from", () => {
    build();
    expect(build(["--require"], { PATH: "/nothing" })).toEqual({ status: 0, stderr: "" });
    writeFileSync(join(folder, "native/addon.cc"), "two");
    expect(build(["--require"], { PATH: "/nothing" })).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("no CMake or C++ compiler"),
    });
  });
});
