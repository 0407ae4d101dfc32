import type { ByteSource } from "./byte_source.js";
import type { PageLayout } from "./page_layout.js";

/** A letter for what an axis means: t, c, z, y, x, s (samples of a pixel); "" where the file does not say. */
export type AxisName = "t" | "c" | "z" | "y" | "x" | "s" | "";

export interface Axis {
  readonly name: AxisName;
  readonly size: number;
}

/** How the planes of a file make up an array, by the file's own word. */
export interface Stack {
  /** Who says so, for messages; "the order of pages" where nobody does. */
  readonly by: string;
  /** All axes but those within a plane, slowest first. Their sizes multiply to the number of planes. */
  readonly axes: readonly Axis[];
  /**
   * Page (in the file's chain) of each plane in the order of `axes`; undefined: plane i is the i-th page, or lies
   * behind the first.
   */
  readonly pages: readonly number[] | undefined;
}

export interface StackInput {
  readonly source: Pick<ByteSource, "name">;
  readonly descriptions: readonly string[];
  readonly first: Pick<PageLayout, "width" | "height" | "samples" | "apart">;
  /** Pages of the chain, reduced copies among them. */
  readonly chainLength: number;
  /** Pages of the chain that are no reduced copies. */
  readonly pageCount: number;
  /** Planes that MetaMorph's tag tells of; 0 without it. */
  readonly metaMorphPlanes: number;
}
