import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";
import { isWide, times } from "../helpers/wide.js";

/** `npm run soak`, for seconds: what the long runs do works, and finds what they are there for. */
let folder: string;
beforeAll(async () => {
  folder = await makeTempFolder();
});
afterAll(() => removeFolder(folder));

interface Soak<Result> {
  readonly code: number | null;
  readonly stderr: string;
  readonly result: Result;
}

interface Kills {
  readonly kills: { readonly none: number; readonly shard: number; readonly batch: number };
  readonly recoveries: number;
  readonly rowsDurable: number;
  readonly rowsKept: number;
  readonly failures: readonly { readonly message: string; readonly folder: string }[];
}

interface Rate {
  readonly frames: number;
  readonly framesCompared: number;
  readonly append: { readonly roomLeft: { readonly count: number }; readonly waited: { readonly count: number } };
  readonly samples: readonly unknown[];
  readonly failures: readonly string[];
}

async function soak<Result>(args: readonly string[], env: Record<string, string> = {}): Promise<Soak<Result>> {
  const script = fileURLToPath(new URL("../../bench/soak/run.js", import.meta.url));
  const child = spawn(process.execPath, [script, ...args, "--json", "--scratch", folder], {
    env: { ...process.env, MILLRACE_DEBUG: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr, result: JSON.parse(stdout.trim().split("\n").at(-1) ?? "").result };
}

/** The streams of a seed are always the same; the moments of the kills are not. */
const KILLS = times(6, 36);

it("kills lose no durable row", async () => {
  const { code, stderr, result } = await soak<Kills>(["kills", "--kills", String(KILLS), "--seed", "1"]);
  expect(result.failures, stderr).toEqual([]);
  expect(code, stderr).toBe(0);
  const { none, shard, batch } = result.kills;
  expect(none + shard + batch).toBeGreaterThanOrEqual(KILLS);
  expect(result.recoveries).toBeGreaterThan(0);
  expect(result.rowsDurable).toBeGreaterThan(0);
  expect(result.rowsKept).toBeGreaterThanOrEqual(result.rowsDurable);
});

it("a stream at full rate reads back right while its shards are removed", async () => {
  const { code, stderr, result } = await soak<Rate>(["rate", "--minutes", "0.05", "--seed", "1"]);
  expect(result.failures, stderr).toEqual([]);
  expect(code, stderr).toBe(0);
  const { roomLeft, waited } = result.append;
  expect(roomLeft.count + waited.count).toBe(result.frames);
  expect(result.framesCompared).toBeGreaterThan(0);
  expect(result.samples.length).toBeGreaterThan(0);
  expect(await readdir(folder)).toEqual([]);
});

// By chance, after a kill or fifty: too long for every run, which has test/stream/mutation.test.ts for the rules
// themselves.
if (isWide) {
  it.each(["DURABLE_AFTER_COMMIT", "JOURNAL_AFTER_DATA"])("it finds what is lost with %s off", async (rule) => {
    const { code, result } = await soak<Kills>(["kills", "--minutes", "4", "--seed", "1"], {
      MILLRACE_RULES_OFF: rule,
    });
    const said = result.failures.map(({ message }) => message).join("; ");
    // The last: the sink of a stream has noticed before the kill.
    const findings = [
      "recover (says damaged|lost)",
      "\\d+ were kept",
      "is wrong, in row",
      "said to be published",
      "verify found",
      "assertion failed: calls on one shard do not overlap",
    ];
    expect(said).toMatch(new RegExp(findings.join("|")));
    expect(code).toBe(1);
    for (const failure of result.failures) await rm(failure.folder, { recursive: true });
  });
}
