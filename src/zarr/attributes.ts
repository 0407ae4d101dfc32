import { MillraceError } from "../base/errors.js";
import type { Json, JsonObject } from "../base/json.js";
import { isWellFormed } from "../base/well_formed.js";

/** The member of an array's attributes that is Millrace's own: what Zarr has no place for. */
export const OWN_ATTRIBUTES = "millrace";

/** Levels that attributes may nest. JSON.stringify and every reader recurse; none is known to need more. */
const DEPTH_MAX = 100;

/**
 * A frozen copy of a user's attributes, after making sure that JSON can hold them without loss: no undefined, function,
 * bigint, NaN, infinity or −0, no hole, no cycle, no class instance such as a Date, no half of a surrogate pair. A
 * later change of `value` does not reach the copy.
 * @param value a plain object, without a member named "millrace".
 * @param toWrite false: the copy is compared with stored attributes only. Then texts and −0 may be what they are there.
 * @param option how the option is called in messages.
 * @throws MillraceError INVALID_OPTION naming the offending member.
 */
export function copyAttributes(value: unknown, toWrite = true, option = "array.attributes"): JsonObject {
  if (!isPlainObject(value)) throw refuse(option, "a plain object", value);
  if (Object.hasOwn(value, OWN_ATTRIBUTES)) {
    throw new MillraceError("INVALID_OPTION", `Option ${option}.${OWN_ATTRIBUTES} is Millrace's own.`, {
      context: { option: `${option}.${OWN_ATTRIBUTES}` },
      hint: "It holds units, scales and the encoder's version there: use another name.",
    });
  }
  return copyJson(value, option, [], toWrite) as JsonObject;
}

function copyJson(value: unknown, path: string, ancestors: readonly object[], toWrite: boolean): Json {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    if (!toWrite || isWellFormed(value)) return value;
    throw refuse(path, "Unicode; it has half of a surrogate pair, as a text that was cut has", value);
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw refuse(path, "a finite number, which is all that JSON has", value);
    if (toWrite && Object.is(value, -0)) throw refuse(path, "another number: JSON in JavaScript drops the sign", "−0");
    return value;
  }
  if (typeof value === "bigint") throw refuse(path, "JSON; a bigint can be given as a string or a number", value);
  if (typeof value !== "object") throw refuse(path, "JSON", value);
  if (ancestors.includes(value)) throw refuse(path, "free of cycles", value);
  if (ancestors.length >= DEPTH_MAX) throw refuse(path, `nested at most ${DEPTH_MAX} deep`, value);
  const inner = [...ancestors, value];
  if (Array.isArray(value)) {
    const items = value as unknown[];
    // What stands in a list besides its items (a RegExp's match has some) is no JSON.
    const extra = Object.keys(items).find((name) => !isIndexOf(name, items));
    if (extra !== undefined)
      throw refuse(`${path}.${extra}`, "left out: it is no item of the list", items[extra as never]);
    // Array.from visits holes, as undefined; map would leave them.
    return Object.freeze(Array.from(items, (item, i) => copyJson(item, `${path}[${i}]`, inner, toWrite)));
  }
  if (!isPlainObject(value)) throw refuse(path, "JSON: null, a boolean, number, string, array or plain object", value);
  const [symbol] = Object.getOwnPropertySymbols(value);
  if (symbol !== undefined) throw refuse(`${path}[${String(symbol)}]`, "left out: JSON has no symbols", symbol);
  // fromEntries defines members; assigning a member named __proto__ would set the prototype instead.
  return Object.freeze(
    Object.fromEntries(
      Object.entries(value).map(([name, member]) => {
        if (toWrite && !isWellFormed(name)) {
          throw refuse(`${path}.${name}`, "named in Unicode; the name has half of a surrogate pair", member);
        }
        return [name, copyJson(member, `${path}.${name}`, inner, toWrite)];
      }),
    ),
  );
}

function isIndexOf(name: string, list: readonly unknown[]): boolean {
  const index = Number(name);
  return String(index) === name && index >= 0 && index < list.length;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // An object of another realm (a vm context, a test runner's sandbox) has that realm's Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function refuse(option: string, expected: string, value: unknown): MillraceError {
  let given: string = value === "−0" ? value : typeof value;
  if (value === null || typeof value === "number" || typeof value === "bigint") given = String(value);
  else if (typeof value === "object")
    given = Array.isArray(value) ? "an array" : (value.constructor?.name ?? "an object");
  return new MillraceError("INVALID_OPTION", `Option ${option} must be ${expected}, got ${given}.`, {
    context: { option, given },
  });
}
