/** Entry of the delivery thread: waits for its init and ports, serves one stream, ends. */
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.js";
import { makeSink } from "../sinks/make_sink.js";
import { leaveWithProducer } from "./leave_with_producer.js";
import type { DeliveryInit } from "./messages.js";
import { type DeliveryPorts, runDelivery } from "./run_delivery.js";

assert(parentPort !== null, "delivery_thread runs as a worker");
parentPort.once("message", async ({ init, ports }: { init: DeliveryInit; ports: DeliveryPorts }) => {
  leaveWithProducer(ports.producer, ports.engine);
  await runDelivery(init, ports, ({ sink }) => makeSink(sink.kind, sink.options, sink.location));
});
