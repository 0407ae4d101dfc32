import type { MessagePort } from "node:worker_threads";

/**
 * Keeps a worker alive until the producer closes its end, and lets it end then. A thread that left right after its last message
 * would be seen to exit before that message is: exit events and ports are not ordered between each other.
 */
export function leaveWithProducer(producer: unknown, other: unknown): void {
  const port = producer as MessagePort;
  port.ref();
  port.once("close", () => (other as MessagePort).close());
}
