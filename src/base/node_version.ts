import { MillraceError } from "./errors.js";

/** As in package.json's `engines`. */
const NEEDED = "20.19";

/** What to tell the owner of a Node that is too old; undefined: it is new enough. @param version such as "20.19.0" */
export function nodeTooOld(version: string): string | undefined {
  const [major, minor] = version.split(".").map(Number);
  const [neededMajor, neededMinor] = NEEDED.split(".").map(Number);
  if (major > neededMajor || (major === neededMajor && minor >= neededMinor)) return undefined;
  return `Millrace needs Node.js ${NEEDED} or newer, and this is ${version}.`;
}

/** @throws MillraceError NODE_TOO_OLD; elsewhere than on Node never */
export function requireNode(version: string | undefined): void {
  const message = version === undefined ? undefined : nodeTooOld(version);
  if (message !== undefined) {
    throw new MillraceError("NODE_TOO_OLD", message, {
      context: { version: version ?? null, needed: NEEDED },
      hint: "Install a newer one; tested are 20, 22 and 24.",
    });
  }
}
