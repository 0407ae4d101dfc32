import { MillraceError } from "../base/errors.js";
import { type DType, itemBytes } from "../geometry/dtype.js";

/** Elements as the machine's own numbers. */
export type TypedElements =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

type Make = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TypedElements;

/** Of the newest runtimes only; the type library in use does not know it. */
const { Float16Array: half } = globalThis as { readonly Float16Array?: Make };

const KINDS: Readonly<Record<DType, Make>> = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: half ?? Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

/**
 * A view of little-endian elements by their dtype; float16 as bit patterns in a Uint16Array where there is no
 * Float16Array.
 * @throws MillraceError INVALID_OPTION for memory that does not begin at a multiple of an element
 */
export function typedElements(bytes: Uint8Array, dtype: DType): TypedElements {
  const size = itemBytes(dtype);
  if (bytes.byteOffset % size !== 0) {
    const message =
      `into: begins at byte ${bytes.byteOffset} of its buffer, ` + `and elements of ${dtype} at multiples of ${size}.`;
    throw new MillraceError("INVALID_OPTION", message, {
      context: { option: "into", byteOffset: bytes.byteOffset, itemBytes: size },
    });
  }
  return new KINDS[dtype](bytes.buffer, bytes.byteOffset, bytes.byteLength / size);
}
