import { ceilDiv } from "../base/integers.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import { formatBytes } from "./format_bytes.js";

/**
 * How the caller makes an epoch smaller, which has to fit in memory: advice that can be followed with this geometry.
 */
export function smallerEpoch(g: ArrayGeometry): string {
  const append = JSON.stringify(g.names[0]);
  const bytes = formatBytes(g.epochBytes);
  if (g.chunk[0] > 1) return `Make chunk of dimension ${append} smaller (now ${g.chunk[0]}): an epoch is ${bytes}.`;
  if (g.rank === 1) return `An epoch is ${bytes}, one chunk.`;
  // The slowest that has several chunks: a z-stack, where there is one, before the planes.
  const slowest = g.shape.findIndex((size, i) => i > 0 && ceilDiv(size as number, g.chunk[i]) > 1);
  const split = slowest > 0 ? slowest : 1;
  const name = JSON.stringify(g.names[split]);
  return (
    `An epoch is ${bytes}: one index of ${append}, whose chunk is 1 already, over all of the other dimensions. ` +
    `Give dimension ${name} (now ${g.shape[split]}) parts of its own, each an array, or put it first: only ` +
    "the first dimension is " +
    "written chunk by chunk."
  );
}
