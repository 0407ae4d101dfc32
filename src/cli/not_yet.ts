import { MillraceError } from "../base/errors.js";

/** The one error for what the documentation names and this version does not have. */
export function notYet(what: string, hint?: string): MillraceError {
  return new MillraceError("NOT_YET", `${what} is documented but not in this version yet.`, {
    context: { feature: what },
    hint,
  });
}
