import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { nodeTooOld, requireNode } from "../../src/base/node_version.js";

/** MILLRACE_OLD_NODE: path of a Node 18, say, to try the real thing with. */
const old = process.env.MILLRACE_OLD_NODE;
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

it("names the version that is needed", () => {
  expect(["20.18.3", "18.20.8", "4.9.1"].map(nodeTooOld)).not.toContain(undefined);
  expect(["20.19.0", "20.19.0-nightly", "21.0.0", "22.1.0", "100.0.0"].map(nodeTooOld)).toEqual(
    Array(5).fill(undefined),
  );
  const { node } = JSON.parse(readFileSync(path("package.json"), "utf8")).engines;
  expect(nodeTooOld("18.20.8")).toBe(`Millrace needs Node.js ${node.slice(2)} or newer, and this is 18.20.8.`);
  expect(() => requireNode("18.20.8")).toThrow(expect.objectContaining({ code: "NODE_TOO_OLD" }));
  expect(() => requireNode(process.versions.node)).not.toThrow();
  expect(() => requireNode(undefined)).not.toThrow();
});

it("looks at the version before it loads anything that an old Node lacks", () => {
  const imports = (name: string) =>
    ts.preProcessFile(readFileSync(path(name), "utf8"), true, true).importedFiles.map((file) => file.fileName);
  expect(imports("dist/index.js")[0]).toBe("./base/require_node.js");
  expect(imports("dist/base/node_version.js")).toEqual(["./errors.js"]);
  expect(imports("dist/base/errors.js")).toEqual([]);
  expect(imports("bin/millrace.js")).toEqual(["node:fs"]);
});

describe.runIf(old)("on an old Node", () => {
  it("the command says one line", () => {
    const { status, stdout, stderr } = spawnSync(old!, [path("bin/millrace.js"), "--version"], { encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/^millrace: Millrace needs Node\.js .*\n$/);
  });

  it("the import fails with the code", () => {
    const entry = new URL("../../dist/index.js", import.meta.url).href;
    const source = `import(${JSON.stringify(entry)}).catch((e) => console.log(e.code))`;
    expect(spawnSync(old!, ["-e", source], { encoding: "utf8" }).stdout.trim()).toBe("NODE_TOO_OLD");
  });
});
