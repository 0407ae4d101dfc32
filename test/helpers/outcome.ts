import type { MillraceError } from "../../src/base/errors.js";
import { elementBytes } from "./stream_model.js";

/** What the promise rejects with; the test fails where it does not. */
export async function failureOf<T = MillraceError>(promise: Promise<unknown>): Promise<T> {
  try {
    await promise;
  } catch (error) {
    return error as T;
  }
  throw new Error("expected a rejection, but it went well");
}

/** The code that the promise rejects with; "" where it does not, which equals no code. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return String((error as { readonly code?: unknown }).code);
  }
  return "";
}

/** Rows [from, to) of a uint16 array whose elements are filled with their own positions. */
export function coordinateRows(rowBytes: number): (from: number, to: number) => Uint8Array {
  return (from, to) => elementBytes((from * rowBytes) / 2, ((to - from) * rowBytes) / 2, 2);
}
