import type { Axis, AxisName, Stack, StackInput } from "./axes.js";
import { refused } from "./byte_source.js";

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  text: string;
}

const HINT = "Convert it, for example with tifffile or bioformats2raw, or pass raw frames.";

/** OME-XML of the first page: DimensionOrder, SizeZ, SizeC and SizeT, and which page holds which plane (TiffData). */
export function omeStack({ source, descriptions, first, chainLength }: StackInput): Stack | undefined {
  const text = descriptions.find((description) => /<(\w+:)?OME[\s>]/.test(description));
  if (text === undefined) return undefined;
  const fail = (message: string, hint?: string) => refused(source, undefined, `its OME-XML ${message}`, {}, hint);
  const ome = find(parseXml(text), "OME")[0];
  if (ome === undefined) throw fail("cannot be parsed.");
  if (find(ome.children, "BinaryOnly").length > 0) throw fail("says that the metadata lie in another file.", HINT);
  const images = find(ome.children, "Image");
  if (images.length !== 1) throw fail(`tells of ${images.length} images; a file of one is read.`, HINT);
  const pixels = find(images[0].children, "Pixels")[0];
  if (pixels === undefined) throw fail("has no Pixels.");
  const size = (name: string): number => {
    const value = Number(pixels.attributes.get(name));
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw fail(`says ${name}="${pixels.attributes.get(name) ?? ""}".`);
  };
  if (size("SizeX") !== first.width || size("SizeY") !== first.height) {
    throw fail(`says ${size("SizeY")} × ${size("SizeX")}, and the page is ${first.height} × ${first.width}.`);
  }
  const order = /^XY([ZCT]{3})$/.exec(pixels.attributes.get("DimensionOrder") ?? "")?.[1];
  if (order === undefined || new Set(order).size !== 3) {
    throw fail(`says DimensionOrder="${pixels.attributes.get("DimensionOrder") ?? ""}".`);
  }
  // Samples of a pixel count as channels.
  if (size("SizeC") % first.samples !== 0) {
    throw fail(`says SizeC="${size("SizeC")}", and a pixel has ${first.samples} samples.`);
  }
  const sizes: Readonly<Record<string, number>> = {
    Z: size("SizeZ"),
    C: size("SizeC") / first.samples,
    T: size("SizeT"),
  };
  const axes: Axis[] = [...order].reverse().map((letter) => ({
    name: letter.toLowerCase() as AxisName,
    size: sizes[letter],
  }));
  const planes = axes.reduce((count, axis) => count * axis.size, 1);
  refuseOtherFiles(ome, pixels, fail);
  if (planes > chainLength) throw fail(`tells of ${planes} planes, and the file has ${chainLength} pages.`, HINT);
  return { by: "OME-XML", axes, pages: pagesOf(pixels, order, sizes, planes, fail) };
}

type Fail = (message: string, hint?: string) => Error;

function refuseOtherFiles(ome: Element, pixels: Element, fail: Fail): void {
  const own = ome.attributes.get("UUID");
  for (const data of find(pixels.children, "TiffData")) {
    const uuid = find(data.children, "UUID")[0];
    if (uuid !== undefined && uuid.text.trim() !== own) {
      const file = uuid.attributes.get("FileName") ?? uuid.text.trim();
      throw fail(`says that planes lie in another file, ${file}.`, HINT);
    }
  }
}

function pagesOf(
  pixels: Element,
  order: string,
  sizes: Readonly<Record<string, number>>,
  planes: number,
  fail: Fail,
): number[] {
  const all = find(pixels.children, "TiffData");
  const pages = new Array<number>(planes).fill(-1);
  if (all.length === 0) return pages.map((_, i) => i);
  for (const data of all) {
    const whole = (name: string, otherwise: number): number => {
      const value = Number(data.attributes.get(name) ?? otherwise);
      if (Number.isSafeInteger(value) && value >= 0) return value;
      throw fail(`has a TiffData with ${name}="${data.attributes.get(name)}".`);
    };
    const page = whole("IFD", 0);
    const start = [...order].reduceRight((at, letter) => at * sizes[letter] + whole(`First${letter}`, 0), 0);
    if ([...order].some((letter) => whole(`First${letter}`, 0) >= sizes[letter])) {
      throw fail("has a TiffData that begins outside of its sizes.");
    }
    // Without IFD and PlaneCount it means all planes; with an IFD alone, one.
    const count = whole("PlaneCount", data.attributes.has("IFD") ? 1 : planes - start);
    if (start + count > planes) throw fail(`has a TiffData of ${count} planes that reaches past its sizes.`);
    for (let i = 0; i < count; i++) pages[start + i] = page + i;
  }
  const missing = pages.indexOf(-1);
  if (missing >= 0) throw fail(`names no page for plane ${missing} of ${planes}.`, HINT);
  return pages;
}

/** Children of that name, with or without a namespace's prefix. */
function find(elements: readonly Element[], name: string): Element[] {
  return elements.filter((element) => element.name.slice(element.name.indexOf(":") + 1) === name);
}

/**
 * Comments, sections, declarations, and tags in groups: slash, name, attributes, slash. No part looks past the next
 * "<".
 */
const MARKUP = new RegExp(
  [
    /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<![^>]*>/.source,
    /<(\/?)([A-Za-z_][\w:.-]*)((?:[^<>"']|"[^"<]*"|'[^'<]*')*?)(\/?)>/.source,
  ].join("|"),
  "g",
);
const ATTRIBUTE = /([A-Za-z_][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

/**
 * The elements of a document, as far as OME needs: names, attributes, nesting, text. Entities stay as they are: what is
 * read from here are
 * numbers, orders and names to compare. No validation, and a document that is not well-formed ends where it stops
 * making sense.
 */
function parseXml(text: string): Element[] {
  const root: Element = { name: "", attributes: new Map(), children: [], text: "" };
  const open: Element[] = [root];
  let last = 0;
  for (const match of text.matchAll(MARKUP)) {
    const [markup, closing, name, attributes, empty] = match;
    const current = open[open.length - 1];
    current.text += text.slice(last, match.index);
    last = match.index + markup.length;
    if (name === undefined) continue;
    if (closing === "/") {
      if (open.length === 1 || current.name !== name) return root.children;
      open.pop();
      continue;
    }
    const element: Element = {
      name,
      attributes: new Map([...attributes.matchAll(ATTRIBUTE)].map((a) => [a[1], a[2] ?? a[3]])),
      children: [],
      text: "",
    };
    current.children.push(element);
    if (empty !== "/") open.push(element);
  }
  return root.children;
}
