import { MillraceError } from "../base/errors.js";
import type { Json, JsonObject } from "../base/json.js";

/** Levels that attributes may nest. JSON.stringify and every reader recurse; none is known to need more. */
const DEPTH_MAX = 100;

/**
 * A frozen copy of a user's attributes, after making sure that JSON can hold them without loss: no undefined, function, bigint,
 * NaN or infinity, no hole, no cycle, no class instance such as a Date. A later change of `value` does not reach the copy.
 * @param value a plain object.
 * @param option how the option is called in messages.
 * @throws MillraceError INVALID_OPTION naming the offending member.
 */
export function copyAttributes(value: unknown, option = "array.attributes"): JsonObject {
  if (!isPlainObject(value)) throw refuse(option, "a plain object", value);
  return copyJson(value, option, []) as JsonObject;
}

function copyJson(value: unknown, path: string, ancestors: readonly object[]): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw refuse(path, "a finite number, which is all that JSON has", value);
  }
  if (typeof value === "bigint") throw refuse(path, "JSON; a bigint can be given as a string or a number", value);
  if (typeof value !== "object") throw refuse(path, "JSON", value);
  if (ancestors.includes(value)) throw refuse(path, "free of cycles", value);
  if (ancestors.length >= DEPTH_MAX) throw refuse(path, `nested at most ${DEPTH_MAX} deep`, value);
  const inner = [...ancestors, value];
  // Array.from visits holes, as undefined; map would leave them.
  if (Array.isArray(value)) {
    return Object.freeze(Array.from(value as unknown[], (item, i) => copyJson(item, `${path}[${i}]`, inner)));
  }
  if (!isPlainObject(value)) throw refuse(path, "JSON: null, a boolean, number, string, array or plain object", value);
  // fromEntries defines members; assigning a member named __proto__ would set the prototype instead.
  return Object.freeze(
    Object.fromEntries(Object.entries(value).map(([k, v]) => [k, copyJson(v, `${path}.${k}`, inner)])),
  );
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // An object of another realm (a vm context, a test runner's sandbox) has that realm's Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function refuse(option: string, expected: string, value: unknown): MillraceError {
  let given: string = typeof value;
  if (value === null || typeof value === "number" || typeof value === "bigint") given = String(value);
  else if (typeof value === "object")
    given = Array.isArray(value) ? "an array" : (value.constructor?.name ?? "an object");
  return new MillraceError("INVALID_OPTION", `Option ${option} must be ${expected}, got ${given}.`, {
    context: { option, given },
  });
}
