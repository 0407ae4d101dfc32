import { MillraceError } from "../base/errors.js";

/** What a shard is called until it is sealed. `recover` looks for it. */
export const PARTIAL_SUFFIX = ".partial";
/** What a small object is called while it is being written. Never worth keeping. */
export const TEMPORARY_SUFFIX = ".tmp";

/** NAME_MAX of Linux file systems, bytes of UTF-8. */
const NAME_BYTES_MAX = 255;

const utf8 = new TextEncoder();

function faultOf(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (key.startsWith("/")) return "it is absolute";
  if (key.includes("\0") || key.includes("\\")) return "it holds a NUL or a backslash";
  if (key.endsWith(PARTIAL_SUFFIX) || key.endsWith(TEMPORARY_SUFFIX)) {
    return `it ends in ${PARTIAL_SUFFIX} or ${TEMPORARY_SUFFIX}, which mark unfinished objects`;
  }
  for (const name of key.split("/")) {
    if (name === "" || name === "." || name === "..") return `"${name}" is not a name`;
    if (utf8.encode(name).length + PARTIAL_SUFFIX.length > NAME_BYTES_MAX) {
      return `a name in it is longer than ${NAME_BYTES_MAX - PARTIAL_SUFFIX.length} bytes`;
    }
  }
  return undefined;
}

/**
 * Checks that a key ("c/0/1", "zarr.json") stays inside the store and can be a file name.
 * @throws MillraceError INVALID_OPTION with the key: parts of keys come from array names, which a user chose.
 */
export function checkKey(key: string): void {
  const fault = faultOf(key);
  if (fault === undefined) return;
  throw new MillraceError("INVALID_OPTION", `${JSON.stringify(key)} cannot be a key of a store: ${fault}.`, {
    context: { key },
    hint: "Expected names joined by single slashes, without . and .., such as c/0/1.",
  });
}
