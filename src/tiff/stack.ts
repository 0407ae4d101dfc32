import type { Stack, StackInput } from "./axes.js";
import { refused } from "./byte_source.js";
import { imageJStack } from "./imagej.js";
import { omeStack } from "./ome.js";
import { shapedStack } from "./shaped.js";

/**
 * What the file says about the order of its planes: OME-XML, ImageJ's description, tifffile's shape, MetaMorph's count.
 * Without any of them
 * pages are planes, in their order.
 * @throws MillraceError INVALID_DATA where that contradicts itself or the pages, or where planes lie in other files
 */
export function readStack(input: StackInput): Stack {
  const plain: Stack = { by: "the order of pages", axes: [{ name: "", size: input.pageCount }], pages: undefined };
  const told =
    omeStack(input) ??
    imageJStack(input) ??
    shapedStack(input) ??
    (input.metaMorphPlanes > 1 ? metaMorph(input) : plain);
  if (told.pages !== undefined) return told;
  const planes = told.axes.reduce((count, axis) => count * axis.size, 1);
  const many = told.axes.filter(({ size }) => size > 1);
  if (planes === input.pageCount) return told;
  // One page and more planes: they lie behind it. Whether they really do is for the reader to find out.
  if (planes > input.pageCount && input.pageCount === 1) return told;
  // More pages than one series takes: images that were added one by one, each with a description of its own.
  if (planes < input.pageCount && many.length === 0) return plain;
  throw refused(
    input.source,
    undefined,
    `${told.by} tells of ${planes} planes, and the file has ${input.pageCount} pages; such files are not supported.`,
    { planes, pages: input.pageCount },
    "Save the stack as OME-TIFF, as an image sequence or as raw data.",
  );
}

function metaMorph({ metaMorphPlanes }: StackInput): Stack {
  return { by: "MetaMorph's tag", axes: [{ name: "", size: metaMorphPlanes }], pages: undefined };
}
