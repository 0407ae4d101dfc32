import type { MessagePort } from "node:worker_threads";
import { deferred } from "../base/deferred.js";
import type { Counters } from "../metrics/counters.js";

/**
 * Keeps a worker alive until the producer closes its end, and lets it end then. A thread that left right after its last
 * message would be seen to exit before that message is: exit events and ports are not ordered between each other.
 *
 * @returns resolves when the producer has left: it closed its end after both threads had stopped, or one of them was
 * lost
 */
export function leaveWithProducer(producer: unknown, other: unknown, counters: Counters): Promise<void> {
  const port = producer as MessagePort;
  const left = deferred();
  const leave = (): void => {
    (other as MessagePort).close();
    left.resolve();
  };
  port.ref();
  port.once("close", leave);
  // A port that closed while this thread was still loading has said so to nobody. The producer raises the flag before
  // it closes. Not closed here too: its last message, the abort, may still be unread.
  if (counters.get("producerLeft") > 0) leave();
  return left.promise;
}
