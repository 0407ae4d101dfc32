import { MillraceError } from "./errors.js";
import { nameHint, nearestName } from "./nearest_name.js";

/** Checks of what a caller gives at run time, whatever its type says. All throw MillraceError INVALID_OPTION. */

/** @param what how the value is called in the message: "Option depth", "verifyStore onProgress". */
export function invalidValue(what: string, option: string, expected: string, value: unknown, hint?: string) {
  const given = describeValue(value);
  return new MillraceError("INVALID_OPTION", `${what} must be ${expected}, got ${given}.`, {
    context: { option, given },
    hint,
  });
}

/** A value for a message. Never runs code of the value, as String would. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** The members of an object, after refusing unknown ones. `prefix` stands in front of a member's name in messages. */
export function members(
  value: unknown,
  what: string,
  prefix: string,
  known: readonly string[],
): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const hint = value === undefined ? `Members: ${known.join(", ")}.` : undefined;
    throw new MillraceError("INVALID_OPTION", `Expected an object for ${what}, got ${describeValue(value)}.`, {
      context: { option: prefix === "" ? "options" : prefix.slice(0, -1), given: describeValue(value) },
      hint,
    });
  }
  for (const [name, member] of Object.entries(value)) {
    if (known.includes(name) || member === undefined) continue;
    const near = nearestName(name, known);
    throw new MillraceError("INVALID_OPTION", `There is no option ${prefix}${name}.`, {
      context: { option: prefix + name, nearest: near ?? null },
      hint: nameHint(name, known),
    });
  }
  return value as Record<string, unknown>;
}

/** The options of a call, whose members are checked by whoever knows them. */
export function optionsObject(call: string, value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalidValue(`The options of ${call}`, "options", "an object", value);
}

/** An AbortSignal, of whatever realm, or undefined. */
export function checkSignal(value: unknown): asserts value is AbortSignal | undefined {
  if (value === undefined) return;
  const signal = value as Partial<AbortSignal> | null;
  const isSignal = typeof signal?.aborted === "boolean" && typeof signal.addEventListener === "function";
  if (!isSignal) throw invalidValue("Option signal", "signal", "an AbortSignal", value);
}

/** A function, or undefined. */
export function checkCallback(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") {
    throw invalidValue(`Option ${option}`, option, "a function", value);
  }
}
