import { sleep } from "../base/clock.js";
import { isMillraceError, MillraceError } from "../base/errors.js";
import { forEachLimited } from "../base/limited.js";
import type { S3Api, UnfinishedUpload } from "../s3/s3_api.js";
import type { Steps } from "./steps.js";

/** Pauses before each look: a part that was still on its way may bring back an upload that was aborted. */
const LOOK_PAUSES_MS = [0, 0, 250, 1000, 3000];
const ABORTS_AT_ONCE = 8;

/**
 * Aborts unfinished uploads whose keys `mayAbort` names, and looks again until none is left.
 * @returns how many there were
 * @throws MillraceError S3_CONFLICT when more come again and again: a writer is at work
 */
export async function abortUploads(api: S3Api, steps: Steps, mayAbort: (key: string) => boolean): Promise<number> {
  const seen = new Set<string>();
  for (const pauseMs of LOOK_PAUSES_MS) {
    await sleep(pauseMs, steps.signal);
    const found = await unfinishedUploads(api, steps, mayAbort);
    if (found.length === 0) return seen.size;
    const before = seen.size;
    for (const { key, uploadId } of found) seen.add(`${uploadId} ${key}`);
    if (!steps.dryRun) {
      await forEachLimited(found, ABORTS_AT_ONCE, async (upload) => {
        steps.signal?.throwIfAborted();
        await api.abortUpload(upload);
      });
    }
    steps.did("uploads", seen.size - before);
    if (steps.dryRun) return seen.size;
  }
  throw new MillraceError("S3_CONFLICT", `${api.location} has new unfinished uploads whenever all were aborted.`, {
    context: { location: api.location, uploadsAborted: seen.size },
    hint: "Its writer seems to be alive: end it, then recover again. Nothing was published or removed.",
  });
}

async function unfinishedUploads(
  api: S3Api,
  steps: Steps,
  mayAbort: (key: string) => boolean,
): Promise<UnfinishedUpload[]> {
  const found: UnfinishedUpload[] = [];
  try {
    for await (const upload of api.listUploads("")) if (mayAbort(upload.key)) found.push(upload);
    return found;
  } catch (error) {
    if (!isMillraceError(error, "S3_UNSUPPORTED")) throw error;
    steps.notes.push("the server cannot list unfinished uploads: if it holds any, it keeps them.");
    return [];
  }
}
