import type { AxisName, Stack, StackInput } from "./axes.js";
import { refused } from "./byte_source.js";

/** Which key of ImageJ's description counts which axis. */
const KEYS: readonly (readonly [string, AxisName])[] = [
  ["channels", "c"],
  ["slices", "z"],
  ["frames", "t"],
];

/**
 * ImageJ's description (`key=value` lines), with `images` planes in the order c fastest, then z, then t; tifffile may
 * say another `order`.
 */
export function imageJStack({ source, descriptions, first, pageCount }: StackInput): Stack | undefined {
  const text = descriptions.find((description) => description.startsWith("ImageJ="));
  if (text === undefined) return undefined;
  const values = new Map(text.split(/\r?\n/).map((line) => [line.split("=")[0], line.slice(line.indexOf("=") + 1)]));
  const count = (key: string): number => {
    const value = Number(values.get(key) ?? 1);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw refused(source, undefined, `ImageJ's description says ${key}=${values.get(key)}.`, { key });
  };
  const sizes = KEYS.map(([key, name]) => ({ name, size: count(key) }));
  const product = sizes.reduce((all, { size }) => all * size, 1);
  const images = values.has("images") ? count("images") : pageCount;
  const order = (values.get("order") ?? "czt").toLowerCase();
  if (!/^(czt|ctz|zct|ztc|tcz|tzc)$/.test(order)) {
    throw refused(source, undefined, `ImageJ's description says order=${order}, which is no order of c, z and t.`, {
      order,
    });
  }
  const by = "ImageJ's description";
  // Some writers count the samples of a pixel as channels: one image of three channels is then a page of three samples.
  const channels = sizes[0];
  const counted = product === images * first.samples && channels.size % first.samples === 0;
  if (product === 1) return { by, axes: [{ name: "", size: images }], pages: undefined };
  if (product !== images && !counted) {
    const told = sizes.map(({ name, size }) => `${name} ${size}`).join(", ");
    throw refused(source, undefined, `ImageJ's description says ${images} images, and ${told}.`, { images, product });
  }
  if (product !== images) channels.size /= first.samples;
  // Written fastest first.
  const axes = [...order].reverse().map((letter) => sizes.find(({ name }) => name === letter)!);
  return { by, axes, pages: undefined };
}
