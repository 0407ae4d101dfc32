import { MillraceError } from "../base/errors.js";

/** Something that no writer has put there lies where the store keeps a file or a folder of its own. */
export function notOurs(path: string, what: string): MillraceError {
  return new MillraceError("STORE_FOREIGN", `${path} is ${what}, where a store has a file or a folder of its own.`, {
    context: { path },
    hint: "Look who has put it there, and move it away; nothing behind it was changed.",
  });
}
