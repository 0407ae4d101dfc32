import { isJsonObject, type Json } from "./json.js";

/** Half of a pair, by itself: "run 😀".slice(0, 5) ends in one. Readers in other languages refuse JSON with it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Whether a text is Unicode: no surrogate stands alone in it. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/**
 * Where the first text that is no Unicode stands, "attributes.a[2]"; a member's name counts. Undefined: there is none.
 */
export function illFormedAt(value: Json, path: string): string | undefined {
  if (typeof value === "string") return isWellFormed(value) ? undefined : path;
  if (Array.isArray(value)) {
    for (const [i, item] of (value as readonly Json[]).entries()) {
      const found = illFormedAt(item, `${path}[${i}]`);
      if (found !== undefined) return found;
    }
  } else if (isJsonObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      const at = `${path}.${name}`;
      const found = isWellFormed(name) ? illFormedAt(member, at) : at;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
