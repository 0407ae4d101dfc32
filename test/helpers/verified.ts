import { expect } from "vitest";
import { verifyStore } from "../../src/store/verify.js";

/**
 * That a store verifies, and holds nothing that its writer would not have left.
 * @param resumed a crash may have left the last row of shards with more chunks than the shape covers
 */
export async function expectVerified(files: ReadonlyMap<string, Uint8Array>, resumed = false): Promise<void> {
  const verified = await verifyStore(files);
  expect(verified).toMatchObject({ ok: true, defects: [], warnings: [] });
  // Shards that were skipped whole are not there.
  const allowed = ["SHARDS_ABSENT", ...(resumed ? ["CHUNK_OUTSIDE"] : [])];
  expect(verified.notes.filter(({ code }) => !allowed.includes(code))).toEqual([]);
}
