import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../base/errors.js";
import { folderOfUrl, misreadHint } from "../base/folder_path.js";
import { invalidValue } from "../base/option_values.js";
import { isS3Url, parseS3Url } from "../s3/s3_options.js";
import { FileStore } from "./file_store.js";
import { MemoryStore } from "./memory_store.js";
import { s3Store } from "./s3_store.js";
import type { StoreReader } from "./store_reader.js";

/**
 * A folder, a file: URL, `s3://bucket/prefix`, a Map from key to bytes, or a reader: {@link s3Store}, or the caller's
 * own.
 */
export type StoreTarget = string | URL | ReadonlyMap<string, Uint8Array> | StoreReader;

/**
 * The store that a caller names. A reader is returned as it is. Of a store on S3 nothing is asked yet.
 * @throws MillraceError STORE_NOT_FOUND when there is no such folder, INVALID_OPTION for an s3:// URL that names no
 *   place, NOT_YET for another kind of URL; INVALID_OPTION for what is no store at all
 */
export async function openStore(target: StoreTarget): Promise<StoreReader> {
  if (target instanceof Map) return new MemoryStore(target);
  if (typeof target !== "string" && !(target instanceof URL)) return checkReader(target);
  if (target === "") throw wrongTarget(target);
  const text = String(target);
  if (isS3Url(text)) return s3Store(parseS3Url(target));
  let folder = text;
  // One letter before the colon is a Windows drive.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1];
  if (scheme === "file") folder = folderOfUrl("target", text, fileURLToPath);
  else if (scheme !== undefined && text.slice(scheme.length).startsWith("://")) {
    throw new MillraceError("NOT_YET", `reading a store on ${scheme}:// is not there yet.`, {
      context: { target: text },
    });
  }
  const stats = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw new MillraceError("PERMISSION_DENIED", `could not look at ${folder}: ${error.message}.`, {
      context: { path: folder, errno: error.code ?? "" },
      cause: error,
    });
  });
  if (stats?.isDirectory()) return new FileStore(folder);
  const what = stats === undefined ? "there is nothing at" : "a store is a folder, but there is a file at";
  throw new MillraceError("STORE_NOT_FOUND", `${what} ${folder}.`, {
    context: { path: folder },
    hint: scheme === "file" ? undefined : misreadHint(text),
  });
}

/** Enough of it to be a reader; a Map of another realm is none. */
function checkReader(target: unknown): StoreReader {
  const reader = target as Partial<StoreReader> | null | undefined;
  for (const method of ["get", "getRange", "size", "list"] as const) {
    if (typeof reader?.[method] !== "function") throw wrongTarget(target);
  }
  return target as StoreReader;
}

function wrongTarget(target: unknown): MillraceError {
  const expected = "a folder, a file: URL, s3://bucket/prefix, a Map of objects, or a reader such as s3Store returns";
  return invalidValue("A store", "target", expected, target);
}

/** Runs `use` on the store that a caller names, and then closes it; a reader that the caller brought stays open. */
export async function withStore<T>(target: StoreTarget, use: (store: StoreReader) => Promise<T>): Promise<T> {
  const store = await openStore(target);
  try {
    return await use(store);
  } finally {
    if (store !== target) await store.close?.();
  }
}
