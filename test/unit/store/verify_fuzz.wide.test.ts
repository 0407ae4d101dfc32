import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { now, wallMs } from "../../../src/base/clock.js";
import { fuzzCorpus } from "../../helpers/fuzz_corpus.js";
import { checkCase, type FuzzCase, fuzzCase } from "../../helpers/verify_case.js";

/**
 * The long run of verify_fuzz.test.ts: scripts/fuzz_verify.sh [MINUTES [SEED [CASE]]]. What fails, and what was being
 * checked when the process ended or hung, lies in build/fuzz_verify/: case.json, and the damaged store as a folder.
 */
const minutes = Number(process.env.MILLRACE_FUZZ_MINUTES ?? 0.5);
const seed = Number(process.env.MILLRACE_FUZZ_SEED ?? wallMs() % 2 ** 31);
const only = process.env.MILLRACE_FUZZ_CASE === undefined ? undefined : Number(process.env.MILLRACE_FUZZ_CASE);

const OUT = fileURLToPath(new URL("../../../build/fuzz_verify", import.meta.url));
/** Bytes that one case may take at its peak: some times the 64 MiB of its budget, and no gigabytes. */
const CASE_BYTES_MAX = 300 * 2 ** 20;
const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

function save(number: number, { store, damage, objects }: FuzzCase, error?: unknown): void {
  const found = { seed, case: number, store: store.name, damage: damage.what, error: error && String(error) };
  writeFileSync(join(OUT, "case.json"), `${JSON.stringify(found, null, 2)}\n`);
  if (error === undefined) return;
  for (const [key, bytes] of objects) {
    const path = join(OUT, "store", key);
    // A key that no file can have: the case is there to make it again.
    if (!path.startsWith(join(OUT, "store")) || key.includes("//")) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

it(
  "any damage gives a report",
  async () => {
    rmSync(OUT, { recursive: true, force: true });
    mkdirSync(OUT, { recursive: true });
    const corpus = await fuzzCorpus();
    // Making the corpus takes a library that writes; which one reads may be chosen.
    if (process.env.MILLRACE_FUZZ_ZSTD !== undefined) process.env.MILLRACE_ZSTD = process.env.MILLRACE_FUZZ_ZSTD;
    const startBytes = peakBytes();
    const end = now() + minutes * 60_000;
    const found = new Map<boolean, number>();
    let number = only ?? 0;
    for (; only === undefined ? now() < end : number === only; number++) {
      const one = fuzzCase(corpus, seed, number);
      // Now and then: writing a file for each would be most of the time, and a hang within a hundred cases is found
      // again.
      if (number % 100 === 0 || only !== undefined) save(number, one);
      try {
        const startMs = now();
        const before = { rss: process.memoryUsage.rss(), peak: peakBytes() };
        const bad = await checkCase(one);
        found.set(bad, (found.get(bad) ?? 0) + 1);
        expect(now() - startMs, "milliseconds").toBeLessThan(20_000);
        // A peak of before says nothing about this case; over hours the collector lets the process grow.
        if (peakBytes() > before.peak) expect(peakBytes() - before.rss, "peak memory").toBeLessThan(CASE_BYTES_MAX);
      } catch (cause) {
        save(number, one, cause);
        throw new Error(`seed ${seed}, case ${number}, ${one.store.name}: ${one.damage.what}`, { cause });
      }
    }
    const grown = Math.round((peakBytes() - startBytes) / 2 ** 20);
    process.stderr.write(
      `verify fuzz: seed ${seed}, ${number} cases, ${found.get(true)} with a defect, peak memory + ${grown} MiB\n`,
    );
  },
  (minutes + 1) * 60_000,
);
