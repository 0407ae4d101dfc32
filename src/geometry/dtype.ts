/** Zarr v3 `data_type` names that Millrace writes and reads. */
export type DType =
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "float32"
  | "float64";

/** How the bits of an element are read. */
export type DTypeKind = "uint" | "int" | "float";

/** What an element is made of. */
export interface DTypeInfo {
  /** Bytes of an element. */
  readonly itemBytes: 1 | 2 | 4 | 8;
  /** Unsigned or signed integer, or IEEE 754 float. */
  readonly kind: DTypeKind;
}

/** The eleven element types by name. */
export const DTYPES: Readonly<Record<DType, DTypeInfo>> = Object.freeze({
  uint8: { itemBytes: 1, kind: "uint" },
  uint16: { itemBytes: 2, kind: "uint" },
  uint32: { itemBytes: 4, kind: "uint" },
  uint64: { itemBytes: 8, kind: "uint" },
  int8: { itemBytes: 1, kind: "int" },
  int16: { itemBytes: 2, kind: "int" },
  int32: { itemBytes: 4, kind: "int" },
  int64: { itemBytes: 8, kind: "int" },
  float16: { itemBytes: 2, kind: "float" },
  float32: { itemBytes: 4, kind: "float" },
  float64: { itemBytes: 8, kind: "float" },
});

export const DTYPE_NAMES: readonly DType[] = Object.freeze(Object.keys(DTYPES) as DType[]);

export function isDType(value: unknown): value is DType {
  return typeof value === "string" && Object.hasOwn(DTYPES, value);
}

/** Bytes of one element. */
export function itemBytes(dtype: DType): 1 | 2 | 4 | 8 {
  return DTYPES[dtype].itemBytes;
}
