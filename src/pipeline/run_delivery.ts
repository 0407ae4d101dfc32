import { toWireError } from "../base/errors.js";
import type { Sink } from "../handoff/sink.js";
import { Counters } from "../metrics/counters.js";
import { Delivery } from "./delivery.js";
import type { DeliveryInit, DeliveryNews, FromDelivery, ToDelivery } from "./messages.js";
import type { Port } from "./port.js";

export interface DeliveryPorts {
  readonly producer: Port<DeliveryNews, never>;
  readonly engine: Port<FromDelivery, ToDelivery>;
}

/** Makes the sink; the thread's entry supplies it, so that this file does not name sinks/. */
type OpenSink = (init: DeliveryInit) => Promise<Sink>;

/**
 * Opens the store and serves the engine until the stream ends. Resolves when the sink is closed; never rejects.
 *
 * @param left resolves when the producer has left, which it only does when the engine has stopped, or a thread was lost
 */
export async function runDelivery(
  init: DeliveryInit,
  ports: DeliveryPorts,
  openSink: OpenSink,
  left?: Promise<void>,
): Promise<void> {
  // Another thread was lost while this one was being loaded: nobody wants the store any more.
  const counters = new Counters(init.memory.counters);
  if (counters.get("producerLeft") > 0) return;
  let stopped = (): void => {};
  const end = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  let delivery: Delivery | undefined;
  // It may happen while the store opens, and the port says it once; of one that closed before this thread was loaded
  // only the producer tells.
  let isEngineLost = false;
  const engineLost = (): void => {
    isEngineLost = true;
    delivery?.engineLost();
  };
  ports.engine.addEventListener?.("close", engineLost);
  void left?.then(engineLost);
  try {
    const sink = await openSink(init);
    // A sink that waits for somebody far away is told to hurry while it opens, too; the rest is for later.
    const early: ToDelivery[] = [];
    ports.engine.onmessage = ({ data }) => {
      if (data.type === "abort" && data.hurry) sink.hurry?.();
      early.push(data);
    };
    try {
      delivery = await Delivery.open(
        init,
        sink,
        {
          toProducer: (news) => ports.producer.postMessage(news),
          toEngine: (message) => {
            ports.engine.postMessage(message);
            if (message.type === "stopped") stopped();
          },
        },
        () => early.some((message) => message.type === "abort" && message.hurry),
      );
    } catch (error) {
      // The first failure is the one to report, whatever closing adds to it.
      await sink.close().catch(() => {});
      throw error;
    }
    const opened = delivery;
    ports.engine.onmessage = ({ data }) => opened.receive(data);
    for (const message of early) opened.receive(message);
    if (isEngineLost) opened.engineLost();
    await opened.reopen();
    ports.producer.postMessage({ type: "ready" });
  } catch (error) {
    counters.raise("deliveryStopped", 1);
    ports.engine.postMessage({ type: "stopped" });
    ports.producer.postMessage({ type: "failed", error: toWireError(error) });
    ports.producer.postMessage({ type: "stopped" });
    return;
  }
  await end;
}
