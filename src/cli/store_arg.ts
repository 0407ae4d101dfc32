import { notYet } from "./not_yet.js";

/**
 * Checks the STORE argument: a path. Object storage is documented and refused until its sink exists.
 * @throws MillraceError NOT_YET
 */
export function parseStore(text: string): string {
  if (/^s3:\/\//i.test(text)) throw notYet("a store on s3://", "Write to a path and copy the folder.");
  return text;
}
