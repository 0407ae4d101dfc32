import { spawnSync } from "node:child_process";
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { root } from "./run_cli.js";

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

const pack = (project: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(project, "scripts", "pack_portable.js"), ...args], { encoding: "utf8" });

/** A checkout with the script and next to nothing else, in the temporary folder. */
async function emptyProject(): Promise<string> {
  const project = join(folder, "project");
  await mkdir(join(project, "scripts"), { recursive: true });
  for (const name of ["pack_portable.js", "run_node.js"]) {
    await cp(join(root, "scripts", name), join(project, "scripts", name));
  }
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "empty", version: "0.0.0", type: "module" }));
  await writeFile(join(project, "package-lock.json"), JSON.stringify({ packages: { "": {} } }));
  return project;
}

describe("pack:portable", () => {
  it.each([
    [["--fast"], /--fast/],
    [["--limit", "60M"], /--limit: expected bytes, got 60M/],
    [["archive.tar.gz"], /archive\.tar\.gz/],
  ])("refuses %j", (args, message) => {
    const result = pack(root, ...args);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ status: 2, stdout: "" });
  });

  it("says how to build when dist/ is missing", async () => {
    const result = pack(await emptyProject());
    expect(result.stderr).toMatch(/npm run build/);
    expect(result.status).toBe(1);
  });

  it("goes on without an addon and without webgpu, and says so; over the limit it lists what is big", async () => {
    const project = await emptyProject();
    await mkdir(join(project, "bin"));
    for (const part of ["dist/cli", "dist/bench"]) await mkdir(join(project, part), { recursive: true });
    await writeFile(join(project, "bin", "millrace.js"), "");
    await writeFile(join(project, "dist", "cli", "main.js"), "");
    await writeFile(join(project, "dist", "bench", "machine.js"), "export const checkoutCommit = () => null;");
    const out = join(folder, "out", "archive.tar.gz");
    const result = pack(project, "--out", out, "--limit", "100000");
    expect(result.stderr).toMatch(/warning: there is no addon/);
    expect(result.stderr).toMatch(/warning: the package webgpu is not installed/);
    expect(result.stderr).toMatch(/over 100,000 bytes.*:\n +[\d,]+ {2}node\n/);
    expect(result.stderr).not.toMatch(/tar:/);
    expect(result).toMatchObject({ status: 1, stdout: "" });
    expect(await readdir(join(folder, "out"))).toEqual([]);
  });
});
