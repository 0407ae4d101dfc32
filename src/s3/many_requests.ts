import { setMaxListeners } from "node:events";

/** A signal that any number of requests may listen to at once; Node warns of a leak from the eleventh on. */
export function forManyRequests(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}
