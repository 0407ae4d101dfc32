import type { DimensionOptions } from "../../index.js";

/** A workload: what is streamed, and how. Elements are uint16. */
export interface Scenario {
  readonly name: string;
  /** One line for the help text. */
  readonly summary: string;
  /** Slowest first; sizes in elements. */
  readonly dimensions: readonly DimensionOptions[];
  /** Bytes per append where --append-bytes is not given. */
  readonly appendBytes: number;
  /** Arrays of these dimensions that one process writes side by side. Default 1. */
  readonly streams?: number;
}
