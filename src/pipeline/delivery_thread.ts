/** Entry of the delivery thread: takes its init and ports, serves one stream, ends. */
import { workerData } from "node:worker_threads";
import { Counters } from "../metrics/counters.js";
import { makeSink } from "../sinks/make_sink.js";
import { leaveWithProducer } from "./leave_with_producer.js";
import type { DeliveryInit } from "./messages.js";
import { type DeliveryPorts, runDelivery } from "./run_delivery.js";

const { init, ports } = workerData as { init: DeliveryInit; ports: DeliveryPorts };
const left = leaveWithProducer(ports.producer, ports.engine, new Counters(init.memory.counters));
void runDelivery(init, ports, ({ sink }) => makeSink(sink.kind, sink.options, sink.location), left);
