import { MillraceError } from "../base/errors.js";
import type { SinkSpec } from "../handoff/sink.js";
import { checkS3Options, invalidS3Option, isS3Url, parseS3Url, type S3Place } from "../s3/s3_options.js";
import { openSdkApi } from "../s3/sdk_api.js";
import type { RecoverOptions, RecoverReport } from "./report.js";
import { recoverS3 } from "./s3_recovery.js";

/** `s3://bucket/prefix` as text or URL, or what `s3Sink` returns: the same one that the store was written with. */
export type RecoverTarget = string | URL | SinkSpec;

/** Connections at once. */
const SOCKETS = 16;

/**
 * Brings a store that its writer did not close, because it crashed, failed or was aborted, to a state as after a clean close: every row
 * that is complete is published, what belongs to incomplete rows is removed, unfinished uploads are given up. Every row that
 * `watermarks.durable` covered is kept.
 *
 * The writer must have ended: one that is still at work loses its uploads, and fails. Nothing can tell from outside, as nothing locks a
 * store. It may be interrupted at any point, and run again.
 *
 * Stores on S3 only; for a folder it is not there yet. Needs the package `@aws-sdk/client-s3`, and the rights to list objects and uploads,
 * to get, put and delete objects, and to abort uploads. Memory grows with the shards that are not published yet, not with the store.
 *
 * @throws MillraceError STORE_NOT_FOUND when there is no store and no trace of a writer; STORE_CORRUPT or STORE_UNSUPPORTED for
 *   metadata, or a marker, that cannot be understood (nothing is changed then); S3_CONFLICT when a writer is at work; NOT_YET for a
 *   folder; INVALID_OPTION; S3_CLIENT_MISSING and the other S3_ codes. The signal's reason when it aborts.
 */
export async function recoverStore(target: RecoverTarget, options: RecoverOptions = {}): Promise<RecoverReport> {
  const api = await openSdkApi(placeOf(target), SOCKETS);
  try {
    return await recoverS3(api, options);
  } finally {
    api.close();
  }
}

function placeOf(target: RecoverTarget): S3Place {
  if (typeof target === "string" || target instanceof URL) {
    const text = String(target);
    if (isS3Url(text)) return checkS3Options("recoverStore", parseS3Url(target));
    // One letter before the colon is a Windows drive.
    if (/^(?!file:)[a-z][a-z0-9+.-]+:\/\//i.test(text)) throw invalidS3Option("recoverStore", "target", EXPECTED, text);
    throw notYet(text);
  }
  if (target?.kind === "s3") return (target.options as { readonly place: S3Place }).place;
  if (target?.kind === "file") throw notYet(target.location);
  throw invalidS3Option("recoverStore", "target", EXPECTED, target?.kind ?? target);
}

const EXPECTED = "an s3:// URL or a sink that s3Sink made";

function notYet(location: string): MillraceError {
  return new MillraceError("NOT_YET", `recovering a store in a folder is not there yet (${location}).`, {
    context: { feature: "recoverStore", location },
    hint: "A store that was not closed keeps every sealed shard: `millrace verify STORE` says what is readable.",
  });
}
