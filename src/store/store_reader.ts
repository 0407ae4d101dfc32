import { type ErrorCode, isMillraceError, MillraceError } from "../base/errors.js";
import { invalidValue } from "../base/option_values.js";

/** One object of a store. */
export interface StoreEntry {
  /** Its key, from the store's root. */
  readonly key: string;
  /** Its length, bytes. */
  readonly size: number;
}

/**
 * Read access to a store: keys like "c/0/1" or "zarr.json", values of any size. Nothing here knows Zarr.
 *
 * An object that is not there reads as undefined. Every other failure rejects with a MillraceError (PERMISSION_DENIED,
 * STORE_READ_FAILED, S3_…) that has the key in its context. Calls may overlap. The caller owns the bytes it gets.
 */
export interface StoreReader {
  /** A readable place, for messages. */
  readonly location: string;
  /** The whole object. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** `length` bytes from `offset`; fewer where the object ends before. */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Bytes of an object. */
  size(key: string): Promise<number | undefined>;
  /**
   * Every object below `prefix` ("" or a key without a slash at its end: a node's path), at any depth, in an order that
   * does not change between two calls. Objects that come or go meanwhile may or may not be listed.
   */
  list(prefix: string): AsyncIterable<StoreEntry>;
  /**
   * Gives back connections and the like; absent where there is nothing to give back. A later call may open them again.
   */
  close?(): Promise<void>;
}

/** As much of a store as reading one array takes. */
export type ObjectReader = Pick<StoreReader, "location" | "getRange" | "size">;

/** With the next object it would be the same, after as many attempts and as long. */
const WHOLE_STORE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "S3_CLIENT_MISSING",
  "S3_CREDENTIALS",
  "S3_NO_BUCKET",
  "S3_WRONG_REGION",
  "S3_CLOCK_SKEW",
  "S3_UNREACHABLE",
]);

/** Whether what a reader rejected with is about the one object, and the others are worth a look. */
export function isAboutOneObject(error: unknown): error is MillraceError {
  if (!isMillraceError(error) || WHOLE_STORE_CODES.has(error.code)) return false;
  // Without a region nothing can be asked. Other options of this code name a bad path, which is one object's matter.
  return error.code !== "INVALID_OPTION" || error.context.option !== "region";
}

/**
 * Checks that a key, or the path of a node, stays inside the store.
 * @throws MillraceError INVALID_OPTION
 */
export function checkPath(path: string): string {
  if (typeof path !== "string") throw invalidValue("A path inside a store", "path", "a text", path);
  const names = path.split("/");
  if (path === "" || names.every((name) => name !== "" && name !== "." && name !== ".." && !/[\\\0]/.test(name)))
    return path;
  throw new MillraceError("INVALID_OPTION", `${JSON.stringify(path)} is no path inside a store.`, {
    context: { option: "path", path },
    hint: "Expected names joined by single slashes, or nothing for the root.",
  });
}
