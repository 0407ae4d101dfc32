import { MillraceError } from "../base/errors.js";
import { isJsonObject, type Json, type JsonObject } from "../base/json.js";

/** Errors and shapes that every part of a zarr.json shares. */

/** Breaks the specification. `what` continues the sentence that begins with the key: "zarr.json has no …". */
export function corrupt(key: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError("STORE_CORRUPT", `${key} ${what}.`, { context: { key }, cause });
}

/** Keeps to the specification, but Millrace cannot read it. */
export function unsupported(key: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError("STORE_UNSUPPORTED", `${key} ${what}.`, { context: { key }, cause });
}

/** The longest JSON text that a message quotes. */
const SHOWN_CHARS_MAX = 80;

/** A value as JSON for a message: the beginning of it, whatever its size. */
export function shown(value: Json | undefined): string {
  const text = String(JSON.stringify(clipped(value, 4)));
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
}

/** A copy with as many members as a message could show. */
function clipped(value: Json | undefined, depth: number): Json | undefined {
  if (typeof value === "string") return value.slice(0, SHOWN_CHARS_MAX + 1);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return Array.isArray(value) ? [] : {};
  if (Array.isArray(value)) return value.slice(0, SHOWN_CHARS_MAX).map((item) => clipped(item, depth - 1) ?? null);
  const members: [string, Json][] = [];
  for (const name in value) {
    members.push([name.slice(0, SHOWN_CHARS_MAX + 1), clipped((value as JsonObject)[name], depth - 1) ?? null]);
    if (members.length >= SHOWN_CHARS_MAX) break;
  }
  return Object.fromEntries(members);
}

export interface NamedConfiguration {
  readonly name: string;
  readonly configuration: JsonObject;
}

/**
 * An extension point: `{ name, configuration? }`, or just the name (Zarr v3.1). A missing configuration reads as empty.
 */
export function namedConfiguration(value: Json | undefined, member: string, key: string): NamedConfiguration {
  if (typeof value === "string") return { name: value, configuration: {} };
  if (!isJsonObject(value) || typeof value.name !== "string") {
    throw corrupt(key, `has ${member} ${shown(value)}, expected an object with a name`);
  }
  const configuration = value.configuration ?? {};
  if (!isJsonObject(configuration)) throw corrupt(key, `has a configuration in ${member} that is not an object`);
  return { name: value.name, configuration };
}
