import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { expect, it } from "vitest";
import { discardSink, openWriter } from "../../dist/index.js";
import { PATIENCE_MS } from "../helpers/patience.js";
import { testCodecs } from "../helpers/zstd.js";

/**
 * Nice values of this process's threads: the 19th field of each stat, of which the third one follows the name in
 * brackets.
 */
function niceValues(): number[] {
  return readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
      return [Number(stat.replace(/^.*\) /s, "").split(" ")[16])];
    } catch (error) {
      // It has ended since.
      if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
      throw error;
    }
  });
}

it.runIf(process.platform === "linux").each(testCodecs)(
  "encode threads go behind all others, codec %s",
  async (codec) => {
    const own = getPriority();
    const behind = () => niceValues().filter((nice) => nice === Math.min(19, own + 5)).length;
    const before = niceValues().filter((nice) => nice !== own).length;
    expect(before).toBe(0);
    const writer = await openWriter({
      sink: discardSink(),
      backend: "cpu",
      encodeThreads: 2,
      array: { dtype: "uint8", codec, dimensions: [{ name: "t", size: null, chunk: 64 }] },
    });
    await writer.append(new Uint8Array(1000));
    // Each steps behind by itself, when it first runs.
    await expect.poll(behind, { timeout: PATIENCE_MS }).toBe(2);
    expect(niceValues().filter((nice) => nice === own).length).toBeGreaterThan(3);
    await writer.close();
  },
);
