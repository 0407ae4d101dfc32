import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { recoverStore } from "../../../src/recover/recover.js";
import { fileSink } from "../../../src/sinks/specs.js";
import { verifyStore } from "../../../src/store/verify.js";
import type { VerifyReport } from "../../../src/store/verify_report.js";
import { openWriter } from "../../../src/writer/open_writer.js";

/** What verify says of a folder while it is written, after its writer went, and after recovery. */

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-verify-open-"));
});
afterEach(() => rm(folder, { recursive: true }));

const FRAME = Uint16Array.from({ length: 64 }, (_, i) => i * 37);

function open(path: string) {
  return openWriter({
    sink: fileSink(path),
    array: {
      dtype: "uint16",
      dimensions: [
        { name: "t", size: null, chunk: 2, shard: 4 },
        { name: "x", size: 64, chunk: 16, shard: 64 },
      ],
      codec: { name: "none" },
    },
    threads: "inline",
    backend: "cpu",
    publishIntervalMs: 3_600_000,
  });
}

const codes = ({ defects, warnings, notes }: VerifyReport) =>
  [...defects, ...warnings, ...notes].map(({ code }) => code);

it("nothing is wrong while a writer is at work, and it is named", async () => {
  const path = join(folder, "run.zarr");
  const writer = await open(path);
  for (let row = 0; row < 7; row++) await writer.append(FRAME);
  await writer.flush();
  const report = await verifyStore(path);
  expect(report.ok).toBe(true);
  expect(codes(report)).toEqual(expect.arrayContaining(["WRITER", "PARTIAL_SHARD"]));
  const { message } = report.warnings.find(({ code }) => code === "WRITER")!;
  expect(message).toContain(`process ${process.pid} of host`);
  expect(message).toContain("seems to be at work");
  await writer.close();
  expect(codes(await verifyStore(path))).toEqual([]);
});

it("a writer that was aborted is to be recovered, and then nothing is left", async () => {
  const path = join(folder, "run.zarr");
  const writer = await open(path);
  for (let row = 0; row < 7; row++) await writer.append(FRAME);
  await writer.flush();
  await writer.abort();
  const report = await verifyStore(path);
  expect(report.ok).toBe(true);
  const { message } = report.warnings.find(({ code }) => code === "WRITER")!;
  expect(message).toContain(`It has ended without closing the store: run "millrace recover ${path}"`);
  await recoverStore(path);
  const after = await verifyStore(path);
  expect(codes(after)).toEqual([]);
  expect(after.arrays[0].chunksChecked).toBeGreaterThan(0);
});
