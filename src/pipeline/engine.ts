import { toWireError } from "../base/errors.js";
import type { Backend } from "../handoff/backend.js";
import { Counters } from "../metrics/counters.js";
import { OwnerWaits } from "../metrics/owner_waits.js";
import { Ordering, poison } from "../slots/ordering.js";
import { SlotRing } from "../slots/slot_ring.js";
import type { EngineInit, FromDelivery, FromEngine, ToDelivery, ToEngine } from "./messages.js";
import type { Port } from "./port.js";
import { Schedule, scheduleMode } from "./schedule.js";

/** Makes the backend; the thread's entry supplies it, so that this file names neither cpu/ nor gpu/. */
export type OpenBackend = (
  init: EngineInit,
  counters: Counters,
  order: Ordering,
  warn: (message: string) => void,
) => Promise<Backend>;

export interface EnginePorts {
  readonly producer: Port<FromEngine, ToEngine>;
  readonly delivery: Port<ToDelivery, FromDelivery>;
}

/**
 * Runs one stream's engine until it is closed or aborted, and answers on its ports; never rejects. Teardown order
 * (STOP_JOIN_BEFORE_RELEASE): the schedule takes no more → delivery has run out and closed the sink → the backend is
 * joined → slot memory is released.
 *
 * @param left resolves when the producer has left, which it only does when delivery has stopped, or a thread was lost
 */
export async function runEngine(
  init: EngineInit,
  ports: EnginePorts,
  openBackend: OpenBackend,
  left?: Promise<void>,
): Promise<void> {
  const counters = new Counters(init.memory.counters);
  const order = new Ordering(init.ordering, new OwnerWaits(counters, "engine"));
  let deliveryStopped = (): void => {};
  const delivered = new Promise<void>((resolve) => {
    deliveryStopped = resolve;
  });
  // Delivery's thread is gone, or this one was left behind: nothing more will be joined. It may happen while the
  // backend opens, and the port says it once; of one that closed before this thread was loaded only the producer tells.
  ports.delivery.addEventListener?.("close", () => deliveryStopped());
  void left?.then(deliveryStopped);
  let backend: Backend;
  try {
    backend = await openBackend(init, counters, order, (message) =>
      ports.producer.postMessage({ type: "warning", message }),
    );
  } catch (error) {
    // A port that nobody reads does not hear that its other end was closed, when something was sent before: this thread
    // would never end.
    ports.producer.onmessage = () => {};
    counters.raise("engineOpened", 1);
    counters.raise("engineStopped", 1);
    ports.producer.postMessage({ type: "failed", error: toWireError(error) });
    ports.producer.postMessage({ type: "stopped" });
    // Nobody else would tell delivery.
    ports.delivery.postMessage({ type: "stop", afterGeneration: 0 });
    return;
  }
  counters.raise("engineOpened", 1);
  const { memory } = init;
  const schedule = new Schedule({
    backend,
    staging: new SlotRing(memory.stagingControl, memory.staging.length, order, "STAGING_FREE"),
    output: new SlotRing(memory.outputControl, memory.output.length, order, "JOIN_BEFORE_REFILL"),
    memory,
    counters,
    order,
    firstRow: init.firstRow,
    epochRows: init.geometry.epochRows,
    maxPendingBytes: init.maxPendingBytes,
    maxBatchAgeMs: init.maxBatchAgeMs,
    mode: scheduleMode(memory.output.length),
    toProducer: (message) => ports.producer.postMessage(message),
    toDelivery: (message) => ports.delivery.postMessage(message),
  });
  ports.producer.onmessage = ({ data }) => schedule.receive(data);
  ports.delivery.onmessage = ({ data }) => {
    if (data.type === "stopped") deliveryStopped();
    else schedule.receiveFromDelivery(data);
  };
  ports.producer.postMessage({ type: "ready", adapter: backend.adapter, backend: backend.kind });

  await schedule.run();
  await order.waitFor("STOP_JOIN_BEFORE_RELEASE", delivered, undefined);
  try {
    await order.observed("STOP_JOIN_BEFORE_RELEASE", backend.close());
  } catch (error) {
    ports.producer.postMessage({ type: "failed", error: toWireError(error) });
  }
  if (order.debug) for (const slot of [...memory.staging, ...memory.output]) poison(slot);
  counters.raise("engineStopped", 1);
  ports.producer.postMessage({ type: "stopped" });
}
