import type { DimensionOptions } from "../geometry/array_geometry.js";
import { type DType, isDType } from "../geometry/dtype.js";
import { type ByteSource, refused } from "../tiff/byte_source.js";

/** Where the elements of a `.npy` file lie, and how (NumPy's format, versions 1 to 3). */
interface NpyLayout {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly littleEndian: boolean;
  readonly dataOffset: number;
  readonly dataBytes: number;
}

/** NumPy itself writes some hundred bytes; names of fields, which are not read, make more. */
const HEADER_BYTES_MAX = 2 ** 20;

const KINDS: Readonly<Record<string, string>> = { u: "uint", i: "int", f: "float" };

/**
 * Reads the header.
 * @throws MillraceError INVALID_DATA for a damaged header, Fortran order, and elements that are no integers or floats
 */
export async function readNpyLayout(source: ByteSource): Promise<NpyLayout> {
  const fail = (message: string) => refused(source, undefined, message);
  if (source.bytes < 12) throw fail(`cut off: a NumPy file of ${source.bytes} bytes.`);
  const start = new Uint8Array(12);
  await source.read(0, start);
  const view = new DataView(start.buffer);
  const version = start[6];
  if (version < 1 || version > 3) throw fail(`it is version ${version} of NumPy's format; 1, 2 and 3 are read.`);
  const headerOffset = version === 1 ? 10 : 12;
  const headerBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > HEADER_BYTES_MAX || headerOffset + headerBytes > source.bytes) {
    throw fail(`damaged: its header says it has ${headerBytes} bytes.`);
  }
  const header = new Uint8Array(headerBytes);
  await source.read(headerOffset, header);
  const text = new TextDecoder().decode(header);
  const descr = /['"]descr['"]\s*:\s*['"]([<>|=])([a-z])(\d+)['"]/.exec(text);
  const fortran = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const shapeText = /['"]shape['"]\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (fortran === undefined || shapeText === undefined) throw fail("damaged: its header names no shape or no order.");
  if (descr === null) throw fail("its elements have fields, or are no numbers; not supported.");
  const [, order, letter, size] = descr;
  const dtype = `${KINDS[letter] ?? letter}${Number(size) * 8}`;
  if (KINDS[letter] === undefined || !isDType(dtype))
    throw fail(`its elements are ${order}${letter}${size}; not supported.`);
  const shape = shapeText.split(",").flatMap((part) => (part.trim() === "" ? [] : [Number(part)]));
  if (fortran === "True" && shape.length > 1) {
    throw fail("its elements are in Fortran order; not supported. Save it with numpy.ascontiguousarray.");
  }
  const count = shape.reduce((product, length) => product * length, 1);
  const dataBytes = count * Number(size);
  const dataOffset = headerOffset + headerBytes;
  if (dataOffset + dataBytes > source.bytes) {
    throw fail(
      `cut off: its ${shape.join(" × ")} elements take ${dataBytes} bytes, ${source.bytes - dataOffset} are there.`,
    );
  }
  return { dtype, shape, littleEndian: order !== ">", dataOffset, dataBytes };
}

/**
 * Compares with the array: the element type, and the last dimensions. The first dimension takes as many rows as come.
 * @throws MillraceError INVALID_DATA
 */
export function checkNpy(
  source: ByteSource,
  { dtype, shape }: NpyLayout,
  expected: { readonly dtype: DType; readonly dimensions: readonly DimensionOptions[] },
): void {
  if (dtype !== expected.dtype) {
    const context = { expected: expected.dtype, got: dtype };
    throw refused(source, undefined, `its elements are ${dtype}; --dtype says ${expected.dtype}.`, context);
  }
  const { dimensions } = expected;
  const last = dimensions.slice(Math.max(0, dimensions.length - shape.length));
  const fits = last.every(({ size }, i) => (last[i] === dimensions[0] ? true : size === shape[i]));
  if (shape.length > dimensions.length || !fits) {
    const sizes = last.map(({ size }) => size ?? "any").join(" × ");
    const names = last.map(({ name }) => name).join(", ");
    const message = `it is ${shape.join(" × ") || "a single number"}; --dims says ${sizes} for ${names}.`;
    throw refused(source, undefined, message, { expected: sizes, got: shape.join(" × ") });
  }
}
