import { GuardedSink } from "../sinks/guarded_sink.js";
import { makeSink } from "../sinks/make_sink.js";
import { type OpenBackend, runEngine } from "./engine.js";
import type { DeliveryNews, FromDelivery, FromEngine, ToDelivery, ToEngine } from "./messages.js";
import type { Port } from "./port.js";
import { runDelivery } from "./run_delivery.js";
import type { StreamThreads, StreamThreadsInit } from "./stream_threads.js";

/** Runs engine and delivery on this thread: `threads: "inline"`. Same classes, same messages, no worker. */
export function startInline(init: StreamThreadsInit, openBackend: OpenBackend): StreamThreads {
  const toEngine = new MessageChannel();
  const toDelivery = new MessageChannel();
  const between = new MessageChannel();
  const all = [toEngine, toDelivery, between].flatMap((channel) => [channel.port1, channel.port2]);
  const port = <Out, In>(p: unknown): Port<Out, In> => p as unknown as Port<Out, In>;
  const engineEnd = runEngine(
    init.engine,
    { producer: port<FromEngine, ToEngine>(toEngine.port2), delivery: port<ToDelivery, FromDelivery>(between.port1) },
    openBackend,
  );
  const deliveryEnd = runDelivery(
    init.delivery,
    { producer: port<DeliveryNews, never>(toDelivery.port2), engine: port<FromDelivery, ToDelivery>(between.port2) },
    async ({ sink }) =>
      init.sinkInstance === undefined
        ? await makeSink(sink.kind, sink.options, sink.location)
        : new GuardedSink(init.sinkInstance, sink.location),
  );
  return {
    engine: port<ToEngine, FromEngine>(toEngine.port1),
    delivery: port<never, DeliveryNews>(toDelivery.port1),
    keepAlive(alive) {
      for (const p of all) {
        if (alive) port(p).ref?.();
        else port(p).unref?.();
      }
    },
    async end() {
      await Promise.all([engineEnd, deliveryEnd]);
      for (const p of all) p.close();
    },
  };
}
