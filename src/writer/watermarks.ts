import type { Counters } from "../metrics/counters.js";
import type { Watermarks } from "../options.js";

/** The counters behind them. */
export const ROW_MARKS = ["rowsEncoded", "rowsDelivered", "rowsDurable", "rowsPublished"] as const;

/**
 * The watermarks as of now. Other threads raise them meanwhile, so the last stage is read first: then no mark is seen
 * ahead of the one before it. `accepted` is the caller's own.
 */
export function readWatermarks(counters: Counters, accepted: number): Watermarks {
  const published = counters.get("rowsPublished");
  const durable = counters.get("rowsDurable");
  const delivered = counters.get("rowsDelivered");
  const encoded = counters.get("rowsEncoded");
  return { accepted, encoded, delivered, durable, published };
}
