import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../base/errors.js";
import { folderOfUrl, refuseMisreadPath } from "../base/folder_path.js";
import { checkCallback, checkSignal, describeValue, invalidValue, optionsObject } from "../base/option_values.js";
import { reportAbort } from "../base/report_abort.js";
import type { SinkSpec } from "../handoff/sink.js";
import { checkS3Options, isS3Url, parseS3Url, type S3Place } from "../s3/s3_options.js";
import { openSdkApi } from "../s3/sdk_api.js";
import { recoverBucket } from "./bucket_recovery.js";
import { recoverFolder } from "./folder_recovery.js";
import type { RecoverOptions, RecoverReport } from "./report.js";

/**
 * A folder, a `file:` URL, `s3://bucket/prefix` as text or URL, or what `fileSink` or `s3Sink` returns: the same one
 * that the store was written with.
 */
export type RecoverTarget = string | URL | SinkSpec;

/** Connections at once. */
const SOCKETS = 16;

/**
 * Brings a store that its writer did not close, because it crashed, failed or was aborted, to a state as after a clean
 * close: all that is complete is published, the rest is removed. Every row that `watermarks.durable` covered is kept.
 * It may be interrupted at any point, and run again; docs/recovery.md says what it goes by.
 *
 * In a folder "complete" is every epoch whose chunks are there to the last byte, also in shards that were not sealed;
 * every chunk that is not published yet is read. The writer must have ended: a process that is still running on this
 * machine is refused, one on another machine cannot be seen. Memory: the journal of one row of shards, and 4 MiB.
 *
 * On S3 it is whole rows of shards; unfinished uploads are given up. The writer must have ended: one that is still at
 * work loses its uploads, and fails; nothing can tell from outside. Needs the package `@aws-sdk/client-s3`, and the
 * rights to list objects and uploads, to get, put and delete objects, and to abort uploads. Memory grows with the
 * shards that are not published yet, not with the store.
 *
 * Where the place is a group that no writer has open, every store below it is recovered that has a writer's marker,
 * one after another: `stores`
 * and `arrays` of the report name them. In a folder none of them is touched while the writer of any is at work.
 *
 * @throws MillraceError STORE_NOT_FOUND when there is no store and no trace of a writer (the message names stores that
 * lie below); STORE_CORRUPT or STORE_UNSUPPORTED for metadata, a marker or a journal that cannot be understood (nothing
 * is changed then); STORE_IN_USE or S3_CONFLICT when a writer is at work; INVALID_OPTION; of folders STORE_READ_FAILED,
 * SINK_FAILED, DISK_FULL and PERMISSION_DENIED; of S3 S3_CLIENT_MISSING and the other S3_ codes. CALL_ABORTED
 * when the signal aborts, with its reason as the cause.
 */
export async function recoverStore(target: RecoverTarget, options: RecoverOptions = {}): Promise<RecoverReport> {
  checkOptions(options);
  const place = placeOf(target);
  return await reportAbort("recoverStore", options.signal, () => recoverPlace(place, options));
}

async function recoverPlace(place: S3Place | string, options: RecoverOptions): Promise<RecoverReport> {
  if (typeof place === "string") return await recoverFolder(place, options);
  const api = await openSdkApi(place, SOCKETS);
  try {
    return await recoverBucket(api, options);
  } finally {
    api.close();
  }
}

function checkOptions(options: RecoverOptions): void {
  const given = optionsObject("recoverStore", options);
  for (const option of ["dryRun", "discardDamaged", "force"] as const) {
    const value = given[option];
    if (value !== undefined && typeof value !== "boolean") {
      throw invalidValue(`Option ${option}`, option, "true or false", value);
    }
  }
  checkSignal(options.signal);
  checkCallback("onProgress", options.onProgress);
}

/** A place on S3, or the absolute path of a folder. */
function placeOf(target: RecoverTarget): S3Place | string {
  if (typeof target === "string" || target instanceof URL) {
    const text = String(target);
    if (isS3Url(text)) return checkS3Options("recoverStore", parseS3Url(target));
    if (/^file:/i.test(text)) return folderOfUrl("target", text, fileURLToPath);
    if (text === "" || text.includes("\0")) throw wrongTarget(text);
    refuseMisreadPath("target", text);
    return resolve(text);
  }
  if (target?.kind === "s3") return (target.options as { readonly place: S3Place }).place;
  if (target?.kind === "file") return target.location;
  const kind: unknown = (target as Partial<SinkSpec> | undefined)?.kind;
  throw wrongTarget(typeof kind === "string" ? kind : describeValue(target));
}

function wrongTarget(given: string): MillraceError {
  const expected = "a folder, an s3:// URL, or a sink that fileSink or s3Sink made";
  return new MillraceError("INVALID_OPTION", `recoverStore takes ${expected}, not ${JSON.stringify(given)}.`, {
    context: { option: "target", expected, got: given },
  });
}
