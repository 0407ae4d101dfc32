import { MillraceError } from "../base/errors.js";
import { isCount } from "../base/integers.js";
import { checkSignal, invalidValue, optionsObject } from "../base/option_values.js";

/** Options of `readRegion`. */
export interface ReadOptions {
  /** Stops the read between two requests; it rejects with CALL_ABORTED. Default: none. */
  readonly signal?: AbortSignal;
  /**
   * Memory for the result, exactly as long as it, from a multiple of an element on; default: new. May be shared. It is
   * borrowed until the promise settles; what is in it after a failure is undefined.
   */
  readonly into?: Uint8Array;
}

/** @throws MillraceError INVALID_OPTION */
export function checkReadOptions(options: ReadOptions): void {
  const { into, signal } = optionsObject("readRegion", options);
  checkSignal(signal);
  // Bytes, since elements of a wider typed array would be cut to their lowest one.
  if (into === undefined || (into instanceof Uint8Array && !(into instanceof Uint8ClampedArray))) return;
  throw invalidValue("Option into", "into", "a Uint8Array", into);
}

/** @throws MillraceError INVALID_OPTION */
export function checkBounds(start: readonly number[], stop: readonly number[], shape: readonly number[]): void {
  for (const [option, bound] of Object.entries({ start, stop })) {
    if (!Array.isArray(bound)) throw invalidValue(`readRegion ${option}`, option, "an array of numbers", bound);
  }
  const fits =
    start.length === shape.length &&
    stop.length === shape.length &&
    shape.every((size, d) => isCount(start[d]) && isCount(stop[d]) && start[d] <= stop[d] && stop[d] <= size);
  if (fits) return;
  throw new MillraceError(
    "INVALID_OPTION",
    `readRegion: [${start.join(", ")}] to [${stop.join(", ")}] is no region of shape [${shape.join(", ")}].`,
    { context: { start: [...start], stop: [...stop], shape: [...shape] } },
  );
}
