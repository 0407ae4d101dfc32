import type { DimensionOptions } from "../geometry/array_geometry.js";
import type { Axis, AxisName, Stack } from "./axes.js";
import { type ByteSource, refused } from "./byte_source.js";
import type { PageLayout } from "./page_layout.js";

/** What people call the axes. Compared without regard to case. */
const NAMES: Readonly<Record<string, AxisName>> = {
  t: "t",
  time: "t",
  frame: "t",
  frames: "t",
  c: "c",
  ch: "c",
  channel: "c",
  channels: "c",
  z: "z",
  depth: "z",
  slice: "z",
  slices: "z",
  y: "y",
  height: "y",
  x: "x",
  width: "x",
  s: "s",
  sample: "s",
  samples: "s",
};

/** What an axis of that name means, or "" for a name of the user's own. */
function axisOf(dimensionName: string): AxisName {
  const name = dimensionName.toLowerCase();
  return Object.hasOwn(NAMES, name) ? NAMES[name] : "";
}

/** How pages fall into the array's dimensions. */
export interface PlanePlan {
  /** True: a frame is [height, width, samples]. False: [height, width], one sample of a pixel at a time. */
  readonly interleaved: boolean;
  /** Frames of the file. */
  readonly count: number;
  /** Number of the plane in the file's order, and the sample of it, for each frame in the array's order. */
  readonly frames: () => Iterable<{ readonly plane: number; readonly sample: number }>;
}

type PlaneShape = Pick<PageLayout, "page" | "width" | "height" | "samples">;
type Refuse = (message: string, context: Readonly<Record<string, string | number>>, hint?: string) => Error;

/** The dimensions before those of a frame, and whether a frame holds the samples of a pixel. */
interface FrameFit {
  readonly interleaved: boolean;
  readonly leading: readonly DimensionOptions[];
}

/**
 * Compares a page's shape with the last dimensions.
 * @throws MillraceError INVALID_DATA with the sizes of both
 */
export function fitFrame(source: ByteSource, page: PlaneShape, dimensions: readonly DimensionOptions[]): FrameFit {
  const { height, width, samples } = page;
  const names = dimensions.map(({ name }) => axisOf(name));
  const fits = (shape: readonly number[]) => {
    const sizes = dimensions.slice(-shape.length).map(({ size }) => size);
    return dimensions.length >= shape.length && sizes.every((size, i) => size === null || size === shape[i]);
  };
  const shape = samples === 1 ? [height, width] : [height, width, samples];
  const plane = dimensions.length - (names.at(-1) === "x" || samples === 1 || !fits(shape) ? 2 : 3);
  // Samples may be a dimension before the plane's, delivered plane by plane.
  const apart =
    samples > 1 &&
    plane === dimensions.length - 2 &&
    fits([height, width]) &&
    sampleDimension(dimensions, plane, samples) >= 0;
  if (!apart && !fits(shape)) {
    const last = dimensions.slice(-shape.length);
    const sizes = last.map(({ size }) => size ?? "any");
    throw refused(
      source,
      page.page,
      `it is ${shape.join(" × ")}${samples === 1 ? "" : " (height × width × samples)"}; ` +
        `--dims says ${sizes.join(" × ")} for ${last.map(({ name }) => name).join(", ")}.`,
      { expected: sizes.join("x"), got: shape.join("x") },
    );
  }
  const interleaved = samples > 1 && !apart;
  const leading = dimensions.slice(0, dimensions.length - (interleaved ? 3 : 2));
  const y = names.indexOf("y");
  const x = names.indexOf("x");
  if ((y >= 0 && y !== leading.length) || (x >= 0 && x !== leading.length + 1)) {
    const order = dimensions.map(({ name }) => name).join(", ");
    throw refused(
      source,
      page.page,
      `its planes are stored row by row (y, x${interleaved ? ", samples" : ""}); --dims says ${order}.`,
      { expected: order },
    );
  }
  return { interleaved, leading };
}

/** Index of the dimension, of those before `end`, that the samples of a pixel are; −1 where there is none. */
function sampleDimension(dimensions: readonly DimensionOptions[], end: number, samples: number): number {
  const leading = dimensions.slice(0, end);
  for (const wanted of ["s", "c"]) {
    const index = leading.findIndex(({ name, size }) => axisOf(name) === wanted && (size === null || size === samples));
    if (index >= 0) return index;
  }
  const last = leading.length - 1;
  return last >= 0 && axisOf(leading[last].name) === "" && leading[last].size === samples ? last : -1;
}

/**
 * Maps the file's axes onto the dimensions by name, so that planes come in the order that the array asks for, wherever
 * they lie.
 *
 * A file may lack dimensions that are slower than all of its own: it is then a part of the array, and the next file the
 * next part. An axis
 * without a name, and a single axis for a single dimension, are taken in the order of the file.
 * @throws MillraceError INVALID_DATA naming both orders where names do not map or sizes contradict
 */
export function planPlanes(source: ByteSource, stack: Stack, samples: number, fit: FrameFit): PlanePlan {
  const { interleaved, leading } = fit;
  const planes = stack.axes.reduce((count, { size }) => count * size, 1);
  const inner = interleaved ? 1 : samples;
  const axes = stack.axes.filter(({ size }) => size > 1);
  const refuse: Refuse = (message, context, hint) => {
    const theirs = orderText(axes.map(({ name, size }) => [name === "" ? "?" : name, String(size)]));
    const ours = orderText(leading.map(({ name, size }) => [name, String(size ?? "any")]));
    const order = `by ${stack.by} its planes are ordered ${theirs || "as a single one"}`;
    const text = `${order}; --dims says ${ours || "one plane"}: ${message}.`;
    return refused(source, undefined, text, { ...context, got: theirs, expected: ours }, hint);
  };
  const count = planes * inner;
  const inOrder = (): PlanePlan => ({ interleaved, count, frames: () => countUp(planes, inner) });
  const sample: Axis[] = inner > 1 ? [{ name: "s", size: inner }] : [];
  if (axes.some(({ name }) => name === "")) {
    const outer = withoutSample(leading, inner, refuse);
    checkUnnamed(axes, outer, refuse);
    return inOrder();
  }
  const free = leading.filter(({ size }) => size !== 1);
  const all = [...axes, ...sample];
  if (all.length === 0 || (all.length === 1 && free.length === 1 && sample.length === 0)) {
    const [dimension] = free;
    if (all.length === 1 && dimension !== leading[0] && dimension.size !== all[0].size) {
      throw refuse(`${dimension.name} has another size`, { dimension: dimension.name });
    }
    return inOrder();
  }
  const order = mapAxes(all, leading, refuse);
  return { interleaved, count, frames: () => permuted(all, order, inner) };
}

function orderText(parts: readonly (readonly [string, string])[]): string {
  return parts.map(([name, size]) => `${name}:${size}`).join(", ");
}

/** The dimensions besides the samples', which must be the fastest of them where planes come in the file's order. */
function withoutSample(
  leading: readonly DimensionOptions[],
  inner: number,
  refuse: Refuse,
): readonly DimensionOptions[] {
  if (inner === 1) return leading;
  if (sampleDimension(leading, leading.length, inner) === leading.length - 1) return leading.slice(0, -1);
  throw refuse("the samples of a pixel must be the dimension before y", { samples: inner });
}

/** As many axes as dimensions must have their sizes; fewer or more are counted through. */
function checkUnnamed(axes: readonly Axis[], leading: readonly DimensionOptions[], refuse: Refuse): void {
  const free = leading.filter(({ size }) => size !== 1);
  if (axes.length < 2 || axes.length !== free.length) return;
  const wrong = free.findIndex(({ size }, i) => size !== axes[i].size && free[i] !== leading[0]);
  if (wrong >= 0) throw refuse(`${free[wrong].name} has another size`, { dimension: free[wrong].name });
}

/** Axis of each of the dimensions that the file has, slowest first. */
function mapAxes(axes: readonly Axis[], leading: readonly DimensionOptions[], refuse: Refuse): number[] {
  const hint = "Name the dimensions t, c, z as the file does, with its sizes, or pass raw frames.";
  const dimensionOf = axes.map(({ name, size }) => {
    const wanted =
      name === "s" && !leading.some((d) => axisOf(d.name) === "s") && !axes.some((a) => a.name === "c") ? "c" : name;
    let index = leading.findIndex((dimension) => axisOf(dimension.name) === wanted);
    if (index < 0 && name === "s") index = sampleDimension(leading, leading.length, size);
    if (index < 0) throw refuse(`no dimension is the file's ${name}`, { axis: name }, hint);
    return index;
  });
  const first = Math.min(...dimensionOf);
  for (const [index, { name, size }] of leading.entries()) {
    const axis = dimensionOf.indexOf(index);
    if (axis < 0 && index > first && size !== 1) throw refuse(`the file has no ${name}`, { dimension: name }, hint);
    // The append dimension takes as many rows as come.
    if (axis >= 0 && index > 0 && size !== axes[axis].size) {
      throw refuse(`${name} has another size`, { dimension: name }, hint);
    }
  }
  return leading.flatMap((_, index) => (dimensionOf.includes(index) ? [dimensionOf.indexOf(index)] : []));
}

function* countUp(planes: number, inner: number): Generator<{ plane: number; sample: number }> {
  for (let plane = 0; plane < planes; plane++) {
    for (let sample = 0; sample < inner; sample++) yield { plane, sample };
  }
}

/** All places of `axes`, slowest axis `order[0]`; the file counts them with the last of `axes` fastest. */
function* permuted(
  axes: readonly Axis[],
  order: readonly number[],
  inner: number,
): Generator<{ plane: number; sample: number }> {
  const strides = axes.map((_, i) => axes.slice(i + 1).reduce((count, { size }) => count * size, 1));
  const count = axes.reduce((all, { size }) => all * size, 1);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let at = 0;
    for (let k = order.length - 1; k >= 0; k--) {
      const { size } = axes[order[k]];
      at += (rest % size) * strides[order[k]];
      rest = Math.floor(rest / size);
    }
    yield { plane: Math.floor(at / inner), sample: at % inner };
  }
}
