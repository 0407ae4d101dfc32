/**
 * Waits that metrics count: the ordering rules, and the byte bound of the sink. Names repeated from slots/ordering.ts,
 * which sits above this folder; a unit test holds the two lists together.
 */
export const ORDERING_COUNTED_RULES = [
  "STAGING_COPIED",
  "STAGING_FREE",
  "BATCH_FILLED",
  "EPOCHS_WHOLE",
  "POOL_CONSUMED",
  "ENCODED",
  "JOIN_BEFORE_REFILL",
  "DELIVER_OLDEST_FIRST",
  "OUTPUT_RELEASED",
  "JOURNAL_AFTER_DATA",
  "DURABLE_AFTER_COMMIT",
  "PUBLISH_AFTER_DURABLE",
  "SKIP_PUBLISHED",
  "JOURNAL_UNTIL_PUBLISHED",
  "EXIT_HANDSHAKE",
  "STOP_JOIN_BEFORE_RELEASE",
  "FAILURE_STOPS_INTAKE",
  "SINK_PENDING_BYTES",
] as const;

/** A rule of docs/ordering.md under which somebody can wait. */
export type CountedRule = (typeof ORDERING_COUNTED_RULES)[number];

/** The threads of a stream that may wait; with `threads: "inline"` the same parts, all on the caller's. */
export const WAIT_OWNERS = ["producer", "engine", "delivery"] as const;
/** Who waits: the caller's thread, the engine's or delivery's. */
export type WaitOwner = (typeof WAIT_OWNERS)[number];
