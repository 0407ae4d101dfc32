import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { reportAbort } from "../../../src/base/report_abort.js";
import { inspectStore, openArray, recoverStore, verifyStore } from "../../../src/index.js";
import { craftStore } from "../../helpers/craft_store.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-abort-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const reasons = [
  undefined,
  new Error("enough"),
  "text",
  { reason: "an object" },
  new MillraceError("INTERNAL", "mine"),
];

it.each(["readRegion", "inspectStore", "verifyStore", "recoverStore"])(
  "%s rejects with CALL_ABORTED, whatever the reason",
  async (call) => {
    const { objects } = await craftStore({ dtype: "uint8", shape: [4, 4], chunk: [2, 2], shard: [4, 4] });
    for (const reason of reasons) {
      const signal = AbortSignal.abort(reason);
      const calls: Record<string, () => Promise<unknown>> = {
        readRegion: async () => (await openArray(objects)).readRegion(undefined, undefined, { signal }),
        inspectStore: () => inspectStore(objects, { signal }),
        verifyStore: () => verifyStore(objects, { signal }),
        recoverStore: () => recoverStore(folder, { signal }),
      };
      const error = await calls[call]().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(MillraceError);
      expect(error).toMatchObject({ code: "CALL_ABORTED", context: { option: "signal", call } });
      expect((error as Error).cause).toBe(signal.reason);
    }
  },
);

it("leaves other errors alone, also after an abort", async () => {
  const other = new MillraceError("STORE_CORRUPT", "torn");
  const failing = reportAbort("verifyStore", AbortSignal.abort(), () => Promise.reject(other));
  await expect(failing).rejects.toBe(other);
  await expect(reportAbort("verifyStore", undefined, () => Promise.reject(other))).rejects.toBe(other);
  expect(await reportAbort("verifyStore", AbortSignal.abort(), async () => 7)).toBe(7);
});
