/**
 * The only place that reads time. Tests replace the clock with {@link useClock}, so that nothing has to wait for real.
 * The replacement holds for one thread: each worker has its own copy of this module.
 */
export interface Clock {
  /** Monotonic nanoseconds. In Node the same origin on every thread; differences between threads are meaningful. */
  nowNs(): number;
  /** Milliseconds since 1970, UTC. May jump; for records only, never for durations. */
  wallMs(): number;
  /** See {@link sleep}. `ms` > 0 and finite, `signal` not aborted yet. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

/** Longer timeouts wrap around to 1 ms in every JavaScript engine. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

const hasHrtime = typeof process === "object" && typeof process.hrtime?.bigint === "function";

const systemClock: Clock = {
  // performance.now() counts from the start of its own thread, so two threads could not compare readings.
  // A Number holds nanoseconds exactly for 104 days of uptime, and to 2 ns for twice that.
  nowNs: hasHrtime ? () => Number(process.hrtime.bigint()) : () => performance.now() * 1e6,
  wallMs: () => Date.now(),
  async sleep(ms, signal) {
    for (let left = ms; left > 0; left -= TIMEOUT_MS_MAX) await sleepOnce(Math.min(left, TIMEOUT_MS_MAX), signal);
  },
};

let current: Clock = systemClock;

/** Replaces the clock of this thread. Returns the function that puts the previous one back. */
export function useClock(clock: Clock): () => void {
  const previous = current;
  current = clock;
  return () => {
    current = previous;
  };
}

/** Monotonic milliseconds, fractional. */
export function now(): number {
  return current.nowNs() / 1e6;
}

/** Monotonic nanoseconds; the origin means nothing. */
export function nowNs(): number {
  return current.nowNs();
}

/** Milliseconds since 1970, UTC; for records only. */
export function wallMs(): number {
  return current.wallMs();
}

/** The same as text: ISO 8601, UTC. */
export function wallIso(): string {
  return new Date(current.wallMs()).toISOString();
}

/**
 * Resolves after `ms` milliseconds, at once (a microtask later) for zero or less. Keeps the process alive meanwhile.
 * Rejects with the signal's reason as soon as `signal` aborts.
 */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  if (ms > 0) await current.sleep(ms, signal);
}
