import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { type CliResult, root } from "./run_cli.js";

function runBench(args: readonly string[]): Promise<CliResult> {
  const child = spawn(process.execPath, [join(root, "bench", "gpu.js"), ...args], { cwd: root });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (part) => {
    stdout += part;
  });
  child.stderr.on("data", (part) => {
    stderr += part;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

describe("bench/gpu.js", () => {
  it.each<[string, RegExp]>([
    ["--fast", /--fast/],
    ["--scenarios=orca", /no orca; there are orca2/],
    ["--backends=cpu,tpu", /no tpu/],
    ["--backends=", /expected some of cpu, gpu/],
    ["--rounds=0", /--rounds.*got 0/],
    ["--rounds=1.5", /--rounds.*got 1.5/],
    ["--total-seconds=x", /--total-seconds.*got x/],
  ])("refuses %s", async (arg, message) => {
    const result = await runBench([arg]);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code: 2, stdout: "" });
  });

  it("prints one table, writes all figures, and a failing backend is a row", async () => {
    const out = join(folder, "gpu.json");
    const { code, stdout, stderr } = await runBench([
      "--scenarios=smallepoch",
      "--codecs=none,no-such-codec",
      "--rounds=1",
      "--seconds-per-run=0.5",
      `--out=${out}`,
    ]);
    expect(code, stderr).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    for (const line of lines) expect(line).toMatch(/^\|.*\|$/);
    expect(lines[0]).toMatch(/cpu .* gpu .* gpu \/ cpu .* remarks/);
    expect(lines.filter((line) => line.startsWith("| memory copy, "))).not.toEqual([]);
    expect(stdout).toMatch(/\| smallepoch, none +\| \d+\.\d\d GB\/s \(/);
    expect(stdout).toMatch(
      /\| smallepoch, no-such-codec +\| UNKNOWN_CODEC +\| UNKNOWN_CODEC +\|.*cpu: .*no-such-codec/,
    );

    const report = JSON.parse(await readFile(out, "utf8"));
    expect(report).toMatchObject({ schema: 1, machine: { cores: expect.any(Number) }, adapter: expect.any(Object) });
    const [{ backends }] = report.scenarios;
    expect(backends.cpu.runs).toHaveLength(1);
    expect(backends.cpu.gbPerSecond.median).toBe(backends.cpu.runs[0].gbPerSecond);
    // With a GPU it has figures, without one the reason.
    expect(backends.gpu.gbPerSecond ?? backends.gpu.error).toBeDefined();
  });

  it("ends in time, and says what it had no time for", async () => {
    const { code, stdout, stderr } = await runBench([
      "--scenarios=smallepoch,aqz",
      "--codecs=none",
      "--total-seconds=0.1",
    ]);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/\| aqz, none +\| TIME +\| TIME +\|.*no time was left/);
  });

  it("shows kernels, their check, and adapters", async () => {
    const { rowsOf, formatTable } = await import(new URL("../../bench/gpu/table.js", import.meta.url).href);
    const report = {
      commit: null,
      seconds: 1,
      options: { rounds: 1, secondsPerRun: 1 },
      machine: { cpu: "c", cores: 1, memoryBytes: 1e9, platform: "p", kernel: "k", node: "v0" },
      adapter: {
        vendor: "v",
        architecture: "",
        device: "d",
        description: "driver 1 | 2",
        isFallbackAdapter: false,
        limits: {},
        features: [],
      },
      hostCopy: { error: { code: "TIME", message: "late" } },
      kernels: {
        rows: [{ kernel: "gather", gbPerS: 12.345, ms: 0.5 }],
        hashGpu: "a",
        hashCpu: "b",
        copyUpGbPerS: 1,
        copyDownGbPerS: 2,
      },
      scenarios: [],
    };
    const table: string = formatTable(rowsOf(report));
    expect(table).toMatch(/\| kernel gather +\| +\| 12\.35 GB\/s +\| +\| 0\.500 ms/);
    expect(table).toMatch(/\| output +\| b .*\| a +\| DIFFERENT/);
    expect(table).toMatch(/\| memory copy .*TIME: late/);
    expect(table).toContain("driver 1 / 2");
  });
});
