import type { ErrorCode } from "../base/errors.js";
import type { AdaptersReport } from "./adapters.js";

/** One thing that was looked at. `fix` says what to do about it; absent when nothing needs doing. */
export interface Finding {
  readonly name: string;
  /** "absent": Millrace does without. "bad": it was asked for, and fails. */
  readonly state: "ok" | "slower" | "absent" | "bad";
  readonly detail: string;
  readonly fix?: string;
  /** Of the error behind a "bad" one. */
  readonly code?: ErrorCode;
  /** Further lines for people. */
  readonly more?: readonly string[];
  /** All that is known of a GPU's adapter, for programs. */
  readonly adapter?: AdaptersReport["adapters"][number];
}
