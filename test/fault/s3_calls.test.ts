import { describe, expect, it } from "vitest";
import { recoverS3 } from "../../src/recover/s3_recovery.js";
import type { S3Api } from "../../src/s3/s3_api.js";
import { S3Sink } from "../../src/sinks/s3.js";
import { openArray } from "../../src/store/array_reader.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { checkRecovered, rowsOf, storeOf } from "../helpers/crash_images.js";
import { FakeS3, type S3Call, s3Failure } from "../helpers/fake_s3.js";
import { CONTENT, driveStream, FAULT_ARRAY, FIRST_ROWS, ROW_BYTES, ROWS } from "../helpers/fault_stream.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { rowBytes } from "../helpers/resume_stream.js";

/**
 * Calls to a bucket in memory go wrong, of a stream, of one that is resumed, and of the recovery of both: every fourth
 * one, or every one.
 */

type Mode = "create" | "resume";
type Failure = Parameters<typeof s3Failure>[0];

/** How a call goes wrong; "late": others overtake it. */
const WAYS = ["before, once", "after, once", "before, from here", "after, from here", "late"] as const;
type Way = (typeof WAYS)[number];

const LATE_TURNS = 40;
/** Calls from one that goes wrong to the next: all of them with MILLRACE_WIDE=1. */
const STEP = process.env.MILLRACE_WIDE === "1" ? 1 : 4;

function inject(s3: FakeS3, way: Way, at: number, code: Failure): void {
  s3.calls.length = 0;
  const isHit = ({ index }: S3Call): boolean => (way.endsWith("from here") ? index >= at : index === at);
  const fail = (call: S3Call): void => {
    if (isHit(call)) throw s3Failure(code, call);
  };
  if (way.startsWith("before")) s3.before = fail;
  else if (way.startsWith("after")) s3.after = fail;
  else {
    s3.before = async (call) => {
      if (!isHit(call)) return;
      for (let turn = 0; turn < LATE_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
  }
}

function openOn(s3: FakeS3, mode: Mode) {
  // Parts smaller than a shard: uploads have several.
  s3.partBytesMin = 16;
  return openWriter({
    sink: inlineSpec(new S3Sink({ api: s3, partBytes: 32, concurrency: 3 })),
    array: FAULT_ARRAY,
    mode,
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    depth: 2,
    publishIntervalMs: 0,
  });
}

async function bucketBefore(mode: Mode): Promise<FakeS3> {
  const s3 = new FakeS3();
  if (mode === "create") return s3;
  const writer = await openOn(s3, "create");
  await writer.append(rowBytes(writer, 0, FIRST_ROWS));
  await writer.close();
  return s3.copy();
}

async function checkReadable(s3: FakeS3, published: number): Promise<void> {
  expect(rowsOf(s3)).toBeGreaterThanOrEqual(published);
  if (s3.bytes("zarr.json") === undefined) return;
  const { data } = await (await openArray(storeOf(s3))).readRegion();
  expect(Buffer.compare(data, CONTENT.subarray(0, rowsOf(s3) * ROW_BYTES))).toBe(0);
}

const firstOf = (mode: Mode): number => (mode === "resume" ? FIRST_ROWS : 0);
const crashed = { images: [], content: CONTENT, rowBytes: ROW_BYTES };

async function run(before: FakeS3, mode: Mode, way: Way | undefined, at: number, code: Failure) {
  const s3 = before.copy();
  if (way !== undefined) inject(s3, way, at, code);
  const driven = await driveStream(
    () => openOn(s3, mode),
    firstOf(mode),
    (published) => checkReadable(s3.copy(), published),
  );
  return { ...driven, s3 };
}

/** Goes on with the stream, whatever is there, to its end. */
async function goOn(s3: FakeS3): Promise<void> {
  const rows = rowsOf(s3);
  const writer = await openOn(s3, s3.bytes("zarr.json") === undefined ? "create" : "resume");
  await writer.append(rowBytes(writer, rows, ROWS));
  await writer.close();
  expect(rowsOf(s3)).toBe(ROWS);
  await checkReadable(s3, ROWS);
}

describe.each(["create", "resume"] as const)("a stream to a bucket (%s)", (mode) => {
  it.each(WAYS)("loses nothing to any call that goes wrong %s", async (way) => {
    const before = await bucketBefore(mode);
    const { calls } = (await run(before, mode, undefined, 0, "S3_UNREACHABLE")).s3;
    expect(new Set(calls.map(({ method }) => method)).size).toBeGreaterThan(5);
    const codes: readonly Failure[] = way === "late" ? ["S3_UNREACHABLE"] : ["S3_UNREACHABLE", "S3_ACCESS_DENIED"];
    for (const code of codes) {
      for (let at = 1; at <= calls.length; at += STEP) {
        const where = `${code} ${way} at call ${at}, ${calls[at - 1].method} ${calls[at - 1].key}`;
        await (async () => {
          const { s3, error, durable, published } = await run(before, mode, way, at, code);
          if (error === undefined) expect([durable, published]).toEqual([ROWS, ROWS]);
          else {
            expect(way).not.toBe("late");
            expect(error.code).toBe(code);
            expect(error.context.operation).toMatch(/\w/);
          }
          await checkReadable(s3, published);
          const recovered = await checkRecovered({ at: where, s3: s3.copy(), durable }, crashed, mode === "resume");
          await goOn(recovered.copy());
        })().catch((cause) => {
          throw new Error(where, { cause });
        });
      }
    }
  });

  it.each(WAYS)("is recovered, also when any call of that goes wrong %s", async (way) => {
    const before = await bucketBefore(mode);
    const { calls } = (await run(before, mode, undefined, 0, "S3_UNREACHABLE")).s3;
    let struck = 0;
    for (const part of [0.4, 0.6, 0.8]) {
      const broken = await run(before, mode, "before, from here", Math.ceil(calls.length * part), "S3_UNREACHABLE");
      const undisturbed = broken.s3.copy();
      await recoverS3(undisturbed);
      for (let at = 1; at <= undisturbed.calls.length; at += STEP) {
        const s3 = broken.s3.copy();
        inject(s3, way, at, "S3_SERVER_ERROR");
        const outcome = await recoverS3(s3).then(
          ({ status }) => status,
          (error) => error.code,
        );
        // A put whose answer was lost is looked for, and found.
        expect(["recovered", ...(way === "late" ? [] : ["S3_SERVER_ERROR"])]).toContain(outcome);
        struck++;
        await checkReadable(s3, broken.published);
        const { durable } = broken;
        const recovered = await checkRecovered(
          { at: `call ${at}`, s3: s3.copy(), durable },
          crashed,
          mode === "resume",
        );
        await goOn(recovered.copy());
      }
    }
    expect(struck).toBeGreaterThan(20 / STEP);
  });
});

it("the calls of these streams are those of every kind that a sink and recovery make", async () => {
  const seen = new Set<keyof S3Api>();
  const note = (s3: FakeS3): void => s3.calls.forEach(({ method }) => void seen.add(method));
  for (const mode of ["create", "resume"] as const) {
    const before = await bucketBefore(mode);
    const whole = await run(before, mode, undefined, 0, "S3_UNREACHABLE");
    note(whole.s3);
    const { s3 } = await run(before, mode, "before, once", Math.ceil(whole.s3.calls.length / 2), "S3_UNREACHABLE");
    note(s3);
    const left = s3.copy();
    await recoverS3(left);
    note(left);
  }
  const made = ["abortUpload", "completeUpload", "createUpload", "get", "head", "list", "listUploads", "putObject"];
  expect([...seen].sort()).toEqual([...made, "remove", "uploadPart"]);
});
