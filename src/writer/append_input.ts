import { MillraceError } from "../base/errors.js";
import type { ArrayGeometry } from "../geometry/array_geometry.js";

/** What callers hand to a writer, checked; and the errors that say how much of it was taken. */

/**
 * The bytes under a view. Whole elements only.
 * @throws MillraceError INVALID_DATA
 */
export function elementBytesOf(data: ArrayBufferView, g: ArrayGeometry): Uint8Array {
  if (!ArrayBuffer.isView(data)) {
    const value: unknown = data;
    const got = typeof value === "object" && value !== null ? Object.prototype.toString.call(value) : String(value);
    throw new MillraceError("INVALID_DATA", `append takes a TypedArray, a Buffer or a DataView, got ${got}.`, {
      hint: "Wrap an ArrayBuffer as new Uint8Array(buffer).",
    });
  }
  checkAttached(data);
  if (data.byteLength % g.itemBytes !== 0) {
    throw new MillraceError(
      "INVALID_DATA",
      `append got ${data.byteLength} bytes, which is not a whole number of ${g.dtype} elements.`,
      { context: { byteLength: data.byteLength, itemBytes: g.itemBytes } },
    );
  }
  return data instanceof Uint8Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A view over a detached buffer has length 0, which is legal input otherwise; a DataView throws when it is asked. */
function checkAttached(data: ArrayBufferView): void {
  try {
    if (data.byteLength === 0) new Uint8Array(data.buffer, 0, 0);
  } catch (cause) {
    throw new MillraceError("INVALID_DATA", "append got a view over a detached buffer.", {
      cause,
      hint: "The buffer was transferred to another thread; copy it first, or append before transferring.",
    });
  }
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
    `${call}(byteLength) takes a multiple of ${itemBytes} from ${min}${upTo}, got ${byteLength}.`,
    { context: { byteLength, itemBytes } },
  );
}

export function checkRowCount(rows: number): void {
  if (Number.isSafeInteger(rows) && rows >= 0) return;
  throw new MillraceError("INVALID_DATA", `skip(rows) takes a whole number of rows, got ${rows}.`, {
    context: { given: String(rows) },
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
