import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesBelow, makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { root } from "./run_cli.js";

let folder: string;
let packed: SpawnSyncReturns<string>;
const archive = () => join(folder, "portable.tar.gz");
const top = () => join(folder, "millrace-portable");

/** Runs a launcher of the unpacked archive. No other program can be found: neither another node nor git. */
const launch = (name: string, ...args: string[]) =>
  spawnSync(join(top(), name), args, { cwd: folder, encoding: "utf8", env: { PATH: "" } });

/** Without one of these there would be warnings, and less in the archive. */
const isComplete = ["build/Release/millrace.node", "node_modules/webgpu"].every((path) => existsSync(join(root, path)));

describe.skipIf(!isComplete)("the portable archive", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    folder = await makeTempFolder();
    const script = join(root, "scripts", "pack_portable.js");
    packed = spawnSync(process.execPath, [script, "--out", archive()], { encoding: "utf8" });
    spawnSync("tar", ["-xzf", archive(), "-C", folder]);
  }, 180_000);
  afterAll(() => removeFolder(folder));

  it("is small enough, says so, and nothing else is left", async () => {
    expect(packed.stderr).toBe("");
    expect(packed.status).toBe(0);
    const { size } = await stat(archive());
    expect(size).toBeLessThan(60_000_000);
    expect(packed.stdout).toContain(`${size.toLocaleString("en-US")} bytes`);
    for (const part of ["node", "dist", "bin", "addon", "webgpu", "other packages", "bench"]) {
      expect(packed.stdout).toMatch(new RegExp(`^${part} +[\\d,]+ bytes$`, "m"));
    }
    expect((await readdir(folder)).sort()).toEqual(["millrace-portable", "portable.tar.gz"]);
  });

  it("has what runs, for this platform, and nothing else", async () => {
    const paths = await filesBelow(top());
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(JSON.parse(await readFile(join(top(), "portable.json"), "utf8"))).toMatchObject({
      version,
      node: process.version,
    });
    expect(paths).toContain("dist/index.js");
    expect(paths).toContain("build/Release/millrace.node");
    expect(paths).toContain("node_modules/commander/package.json");
    // Every kernel that was built: they are read when a writer opens.
    const kernels = (await filesBelow(join(root, "dist"))).filter((path) => path.endsWith(".wgsl"));
    for (const kernel of kernels) expect(paths).toContain(`dist/${kernel}`);
    expect(paths.filter((path) => /\.(ts|map|o|c)$/.test(path))).toEqual([]);
    expect(paths.filter((path) => /node_modules\/(vitest|typescript|@biomejs|@sparticuz)\//.test(path))).toEqual([]);
    const platforms = await readdir(join(top(), "node_modules", "webgpu", "dist"));
    expect(platforms).toEqual([
      process.platform === "darwin" ? "darwin-universal" : `${process.platform}-${process.arch}`,
    ]);
  });

  it("reports on the machine, with its own Node, addon and packages", () => {
    const { status, stdout, stderr } = launch("millrace", "doctor", "--json");
    expect(status, stderr).toBe(0);
    const { findings } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as {
      findings: { name: string; state: string; detail: string }[];
    };
    const finding = (name: string) => findings.find((f) => f.name === name);
    expect(finding("Node")?.detail).toContain(process.versions.node);
    expect(finding("addon")).toMatchObject({ state: "ok", detail: join(top(), "build", "Release", "millrace.node") });
    expect(finding("codec zstd:LEVEL")?.state).toBe("ok");
    expect(finding("webgpu")?.state).toBe("ok");
  });

  it.each(["none", "blosc", "zstd:1"])("writes and checks a store with %s", (codec) => {
    const args = ["demo", join(folder, "demo.zarr"), "--frames", "32", "--size", "128", "--codec", codec, "--json"];
    const { status, stdout, stderr } = launch("millrace", ...args);
    expect(status, stderr).toBe(0);
    const { checked } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { checked: object };
    expect(checked).toMatchObject({ values: 32 * 128 * 128, wrong: 0 });
  });

  it("runs its benchmark", async () => {
    const out = join(folder, "result.json");
    const args = ["--scenarios=smallepoch", "--codecs=none", "--rounds=1", "--seconds-per-run=0.5", `--out=${out}`];
    const { status, stdout, stderr } = launch("gpu-bench", ...args);
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/\| smallepoch, none +\| \d+\.\d\d GB\/s/);
    const { commit } = JSON.parse(await readFile(join(top(), "portable.json"), "utf8"));
    const report = JSON.parse(await readFile(out, "utf8"));
    expect(report.commit).toBe(commit);
    // There may be no GPU; the package that looks for one is there.
    expect(JSON.stringify(report.adapter)).not.toContain("does not load");
    expect(existsSync(`${out}.partial`)).toBe(false);
  });
});
