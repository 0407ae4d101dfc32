/**
 * How long a test waits before it takes what it waits for as hung. No machine is so slow, and none is so fast that a
 * test may count on less: a limit that a slow machine can reach is an assertion about time.
 */
export const PATIENCE_MS = 600_000;
