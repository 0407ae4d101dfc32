import { type ErrorContext, MillraceError } from "./errors.js";

/** Guards what only a bug in Millrace can break. What the world or the caller can break throws its own code. */
export function assert(condition: boolean, message: string, context?: ErrorContext): asserts condition {
  if (!condition) throw new MillraceError("INTERNAL", `assertion failed: ${message}`, { context });
}
