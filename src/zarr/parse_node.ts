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

export interface NamedConfiguration {
  readonly name: string;
  readonly configuration: JsonObject;
}

/** An extension point: `{ name, configuration? }`, or just the name (Zarr v3.1). A missing configuration reads as empty. */
export function namedConfiguration(value: Json | undefined, member: string, key: string): NamedConfiguration {
  if (typeof value === "string") return { name: value, configuration: {} };
  if (!isJsonObject(value) || typeof value.name !== "string") {
    throw corrupt(key, `has ${member} ${JSON.stringify(value)}, expected an object with a name`);
  }
  const configuration = value.configuration ?? {};
  if (!isJsonObject(configuration)) throw corrupt(key, `has a configuration in ${member} that is not an object`);
  return { name: value.name, configuration };
}
