import { isJsonObject, type Json } from "../base/json.js";
import type { Axis, AxisName, Stack, StackInput } from "./axes.js";
import { refused } from "./byte_source.js";

/** tifffile's own description: `{"shape": [3, 4, 64, 64]}`, sometimes with `"axes": "TZYX"`. */
export function shapedStack({ source, descriptions, first, pageCount }: StackInput): Stack | undefined {
  const text = descriptions.find((description) => description.startsWith('{"shape":'));
  if (text === undefined) return undefined;
  const described = parse(text);
  const shape = isJsonObject(described) ? described.shape : undefined;
  if (!Array.isArray(shape) || !shape.every((size): size is number => Number.isSafeInteger(size) && Number(size) > 0)) {
    throw refused(source, undefined, "its description begins as tifffile's does, and holds no shape.");
  }
  const { height, width, samples, apart } = first;
  const plane = samples === 1 ? [height, width] : apart ? [samples, height, width] : [height, width, samples];
  const by = "tifffile's shape";
  const planes = shape.reduce((all, size) => all * size, 1) / (height * width * samples);
  const leading = leadingOf(shape, plane, samples === 1 ? "yx" : apart ? "syx" : "yxs", axesOf(described));
  if (leading !== undefined) return { by, axes: leading, pages: undefined };
  // A one-dimensional array, or one that was cut into planes in another way: in the order of its elements the pages
  // make it up.
  if (planes === pageCount) return { by, axes: [{ name: "", size: planes }], pages: undefined };
  throw refused(
    source,
    undefined,
    `tifffile's shape is ${shape.join(" × ")}, and its ${pageCount} pages are ${plane.join(" × ")}.`,
    { shape: shape.join("x"), plane: plane.join("x") },
  );
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // Reported by the caller as a description without a shape.
    return undefined;
  }
}

function axesOf(described: Json | undefined): string | undefined {
  const axes = isJsonObject(described) ? described.axes : undefined;
  return typeof axes === "string" ? axes.toLowerCase() : undefined;
}

/** The axes before the plane's own, or undefined where the shape does not end with the plane. */
function leadingOf(
  shape: readonly number[],
  plane: readonly number[],
  letters: string,
  axes: string | undefined,
): Axis[] | undefined {
  const names = axes?.length === shape.length ? axes : undefined;
  // Axes of length 1 may stand anywhere: a plane of one sample has none of samples, and [1, y, x, 1] is a plane too.
  let at = shape.length;
  for (let i = plane.length - 1; i >= 0; i--) {
    at--;
    while (at >= 0 && shape[at] === 1 && plane[i] !== 1) at--;
    if (at < 0 || shape[at] !== plane[i]) return undefined;
    if (names !== undefined && "tczyxs".includes(names[at]) && names[at] !== letters[i] && plane[i] !== 1)
      return undefined;
  }
  return shape.slice(0, at).map((size, i) => ({ name: axisName(names?.[i]), size }));
}

function axisName(letter: string | undefined): AxisName {
  return letter === "t" || letter === "c" || letter === "z" ? letter : "";
}
