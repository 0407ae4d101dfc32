import type { AdaptersReport } from "./adapters.js";

/** One thing that was looked at. `fix` says what to do about it; absent when nothing needs doing. */
export interface Finding {
  readonly name: string;
  readonly state: "ok" | "slower" | "absent";
  readonly detail: string;
  readonly fix?: string;
  /** Further lines for people. */
  readonly more?: readonly string[];
  /** All that is known of a GPU's adapter, for programs. */
  readonly adapter?: AdaptersReport["adapters"][number];
}
