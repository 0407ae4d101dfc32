import { MillraceError } from "../base/errors.js";
import { checkSignal, describeValue, optionsObject } from "../base/option_values.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";
import type { DType } from "../geometry/dtype.js";
import type { AppendOptions } from "./writer_types.js";

/** What callers hand to a writer, checked; and the errors that say how much of it was taken. */

/** The typed array whose elements are a dtype's. Bytes, and a DataView, have no kind and go with every dtype. */
const ARRAY_OF: Readonly<Record<DType, string>> = {
  uint8: "Uint8Array",
  uint16: "Uint16Array",
  uint32: "Uint32Array",
  uint64: "BigUint64Array",
  int8: "Int8Array",
  int16: "Int16Array",
  int32: "Int32Array",
  int64: "BigInt64Array",
  float16: "Float16Array",
  float32: "Float32Array",
  float64: "Float64Array",
};

const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as { keys(): unknown };
/** The name of a typed array's kind, also of another realm's and of a subclass; undefined for a DataView. */
const kindOf = Object.getOwnPropertyDescriptor(typedArrayPrototype, Symbol.toStringTag)?.get as (
  this: unknown,
) => string | undefined;

/**
 * The bytes of what was given to append: a typed array of the dtype's own kind, or bytes (Uint8Array, Buffer, DataView,
 * ArrayBuffer, SharedArrayBuffer). Whole elements only.
 * @throws MillraceError INVALID_DATA
 */
export function elementBytesOf(data: ArrayBufferView | ArrayBufferLike, g: ArrayGeometry): Uint8Array {
  const bytes = bytesOf(data, g.dtype);
  if (bytes.byteLength % g.itemBytes === 0) return bytes;
  throw new MillraceError(
    "INVALID_DATA",
    `append got ${bytes.byteLength} bytes, which is not a whole number of ${g.dtype} elements.`,
    { context: { byteLength: bytes.byteLength, itemBytes: g.itemBytes } },
  );
}

function bytesOf(data: ArrayBufferView | ArrayBufferLike, dtype: DType): Uint8Array {
  if (!ArrayBuffer.isView(data)) return bytesOfBuffer(data);
  const kind = kindOf.call(data);
  if (kind !== undefined && kind !== "Uint8Array" && kind !== ARRAY_OF[dtype]) checkKind(kind, dtype);
  checkAttached(data, kind);
  return data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function checkKind(kind: string, dtype: DType): void {
  if (kind === "Uint8ClampedArray" && dtype === "uint8") return;
  const expected = ARRAY_OF[dtype];
  throw new MillraceError("INVALID_DATA", `append got a ${kind} for an array of ${dtype}, expected a ${expected}.`, {
    context: { given: kind, expected, dtype },
    hint:
      "Convert the values. If its bytes already are such elements, say so: " +
      "new Uint8Array(data.buffer, data.byteOffset, data.byteLength).",
  });
}

function bytesOfBuffer(data: unknown): Uint8Array {
  const tag = Object.prototype.toString.call(data);
  if (tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]") {
    const buffer = data as ArrayBufferLike;
    try {
      // With a length of its own: a view that follows a resizable buffer could grow while it waits.
      const bytes = new Uint8Array(buffer, 0, buffer.byteLength);
      // Of an object that only says that it is a buffer this is a copy of nothing.
      if (bytes.buffer === buffer) return bytes;
    } catch (cause) {
      throw detached(cause);
    }
  }
  const given = typeof data === "object" && data !== null ? tag : describeValue(data);
  throw new MillraceError("INVALID_DATA", `append takes a typed array, or bytes in a Buffer or a view, got ${given}.`, {
    context: { given },
    hint: "Numbers in a plain array go into a typed array of the dtype's kind first.",
  });
}

/**
 * A view over a detached buffer, or behind the end of one that was made smaller, has length 0, which is legal input
 * otherwise; a DataView throws when it is asked.
 */
function checkAttached(data: ArrayBufferView, kind: string | undefined): void {
  try {
    if (data.byteLength === 0 && kind !== undefined) typedArrayPrototype.keys.call(data);
  } catch (cause) {
    throw detached(cause);
  }
}

function detached(cause: unknown): MillraceError {
  return new MillraceError("INVALID_DATA", "append got a view over a detached buffer, or outside of a resized one.", {
    cause,
    hint: "If the buffer was transferred to another thread, copy it first, or append before transferring.",
  });
}

/**
 * The signal of one append, or undefined.
 * @throws MillraceError INVALID_OPTION
 */
export function signalOf(options: AppendOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  const { signal } = optionsObject("append", options);
  checkSignal(signal);
  return signal;
}

/**
 * That a view which waited is as long as it was: bytes that were taken away meanwhile cannot be appended any more.
 * @throws MillraceError INVALID_DATA
 */
export function checkUnchanged(bytes: Uint8Array, byteLength: number, bytesAccepted: number): void {
  if (bytes.byteLength === byteLength) return;
  throw new MillraceError("INVALID_DATA", "the buffer was detached or resized while its append waited.", {
    context: { bytesNotAccepted: byteLength - bytesAccepted, bytesAccepted },
    hint: "Transfer or reuse a buffer after its append has resolved.",
  });
}

/** A byte count given as a number: whole elements from `min` to `max`. */
export function checkByteCount(call: string, byteLength: number, itemBytes: number, min: number, max: number): void {
  const whole = Number.isSafeInteger(byteLength) && byteLength % itemBytes === 0;
  if (whole && byteLength >= min && byteLength <= max) return;
  const upTo = max === Number.POSITIVE_INFINITY ? "" : `, at most the ${max} bytes reserved`;
  throw new MillraceError(
    "INVALID_DATA",
    `${call}(byteLength) takes a multiple of ${itemBytes} from ${min}${upTo}, got ${describeValue(byteLength)}.`,
    { context: { byteLength: typeof byteLength === "number" ? byteLength : describeValue(byteLength), itemBytes } },
  );
}

export function checkRowCount(rows: number): void {
  if (Number.isSafeInteger(rows) && rows >= 0) return;
  throw new MillraceError("INVALID_DATA", `skip(rows) takes a whole number of rows, got ${describeValue(rows)}.`, {
    context: { given: describeValue(rows) },
  });
}

/** @throws MillraceError INVALID_DATA where bytes of the array can no longer be counted exactly */
export function checkCountable(rows: number, rowBytes: number, totalBytes: number): void {
  if (totalBytes + rows * rowBytes <= Number.MAX_SAFE_INTEGER) return;
  const rowsMax = Math.floor((Number.MAX_SAFE_INTEGER - totalBytes) / rowBytes);
  throw new MillraceError("INVALID_DATA", `skip(${rows}) makes the array longer than 2^53 bytes.`, {
    context: { given: rows, rowsMax },
    hint: `${rowsMax} rows can be skipped at most.`,
  });
}

export function pastEnd(bytesNotAccepted: number, bytesAccepted: number): MillraceError {
  return new MillraceError("WRITE_PAST_END", `${bytesNotAccepted} bytes lie past the end of the append dimension.`, {
    context: { bytesNotAccepted, bytesAccepted },
    hint: "Make dimension 0 larger, or null for an unbounded one.",
  });
}

export function stillReserved(call: string, reservedBytes: number): MillraceError {
  return new MillraceError("RESERVE_STATE", `${call} was called while ${reservedBytes} bytes are reserved.`, {
    context: { reservedBytes },
    hint: "Call commit(byteLength) first, or commit(0).",
  });
}

export function notRowAligned(bytesIntoRow: number, rowBytes: number): MillraceError {
  return new MillraceError("SKIP_NOT_ROW_ALIGNED", `skip was called ${bytesIntoRow} bytes into a row of ${rowBytes}.`, {
    context: { bytesIntoRow, rowBytes },
    hint: "Append the rest of the row first.",
  });
}

export function appendAborted(signal: AbortSignal, bytesNotAccepted: number): MillraceError {
  return new MillraceError("APPEND_ABORTED", `append was aborted with ${bytesNotAccepted} bytes not accepted.`, {
    context: { bytesNotAccepted },
    cause: signal.reason,
  });
}

export function incompleteRow(bytesLeftOut: number, rowBytes: number, rows: number): MillraceError {
  return new MillraceError(
    "INCOMPLETE_ROW",
    `the last row has ${bytesLeftOut} of ${rowBytes} bytes; it was left out, all rows before it are stored.`,
    { context: { bytesLeftOut, rowBytes, rows }, hint: "Append whole rows before closing." },
  );
}

export function closed(): MillraceError {
  return new MillraceError("WRITER_CLOSED", "the writer is closed.", { hint: "Open a new writer." });
}
