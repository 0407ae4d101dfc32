import { MillraceError } from "../base/errors.js";

/** For mode "resume": a store with a writer's marker in it is not taken over. */
export function notClosed(location: string, key: string): MillraceError {
  return new MillraceError(
    "STORE_NOT_CLOSED",
    `${location} is being written, or its writer has ended without closing it, and the mode is "resume".`,
    {
      context: { location, key },
      hint: `End that writer. If it has crashed, recover the store first: millrace recover ${location}`,
    },
  );
}
