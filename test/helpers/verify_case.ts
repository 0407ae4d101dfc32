import { expect } from "vitest";
import { isMillraceError } from "../../src/base/errors.js";
import { openArray } from "../../src/store/array_reader.js";
import { inspectStore } from "../../src/store/inspect.js";
import { verifyStore } from "../../src/store/verify.js";
import { DEFECT_CODES, NOTE_CODES, type VerifyReport, WARNING_CODES } from "../../src/store/verify_report.js";
import { cloneObjects, type Damage, damage, type Objects, Random } from "./damage.js";
import type { FuzzStore } from "./fuzz_corpus.js";

/** What a damaged store may take, and what is never to be reached. */
const MEMORY_BYTES = 64 * 2 ** 20;
/** Elements of a region that is read back of an array of whatever shape. */
const REGION_ELEMENTS = 4096;

const CODES = {
  defect: Object.keys(DEFECT_CODES),
  warning: Object.keys(WARNING_CODES),
  note: Object.keys(NOTE_CODES),
};

export interface FuzzCase {
  readonly store: FuzzStore;
  readonly objects: Objects;
  readonly damage: Damage;
}

/** The case of that number: the same for the same seed and corpus. */
export function fuzzCase(corpus: readonly FuzzStore[], seed: number, number: number): FuzzCase {
  const random = new Random(seed, number);
  const store = random.pick(corpus);
  const objects = cloneObjects(store.objects);
  return { store, objects, damage: damage(objects, random, store.array) };
}

/**
 * Damage gives a report or an error of ours; what verifies can be read; and where a checksum covers the values, they
 * are those that were written, or there is a defect.
 * @returns whether a defect was found
 */
export async function checkCase({ store, objects, damage }: FuzzCase): Promise<boolean> {
  const report = await ours(() => verifyStore(objects, { threads: 0, memoryBytes: MEMORY_BYTES }), ["STORE_NOT_FOUND"]);
  if (report === undefined) {
    expect([...objects.keys()].some((key) => key === "zarr.json" || key.endsWith("/zarr.json"))).toBe(false);
    return true;
  }
  checkReport(report);
  await ours(() => inspectStore(objects));
  for (const { path, shape } of report.arrays) {
    const region = await ours(async () => {
      const array = await openArray(objects, path);
      return await array.readRegion(undefined, corner(shape));
    });
    // What is said to be whole can be read.
    if (report.ok) expect(region).toBeDefined();
  }
  if (report.ok && damage.bytesOnly && store.checked) {
    const { data } = await (await openArray(objects)).readRegion();
    expect(Buffer.compare(data, store.expected)).toBe(0);
  }
  return !report.ok;
}

export function checkReport(report: VerifyReport): void {
  expect(report.ok).toBe(report.defects.length === 0);
  for (const finding of [...report.defects, ...report.warnings, ...report.notes]) {
    expect(CODES[finding.severity]).toContain(finding.code);
    expect(typeof finding.key).toBe("string");
    expect(finding.message.length).toBeLessThan(1100);
    expect(finding.coordinates?.every(Number.isSafeInteger) ?? true).toBe(true);
    expect(Number.isSafeInteger(finding.offset ?? 0)).toBe(true);
    expect(Number.isSafeInteger(finding.length ?? 0)).toBe(true);
  }
  // As --json prints it: nothing is lost.
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
}

/** Undefined for an error of ours. Any other error, and one of our own mistakes, is thrown. */
async function ours<T>(run: () => Promise<T>, codes?: readonly string[]): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (!isMillraceError(error) || error.code === "INTERNAL") throw error;
    if (codes !== undefined && !codes.includes(error.code)) throw error;
    return undefined;
  }
}

function corner(shape: readonly number[]): number[] {
  let left = REGION_ELEMENTS;
  return shape.map((size) => {
    const taken = Math.min(size, 8, left);
    left = Math.floor(left / Math.max(1, taken));
    return taken;
  });
}
