/** Entry of the engine thread: takes its init and ports, runs one engine, ends. */
import { workerData } from "node:worker_threads";
import { Counters } from "../metrics/counters.js";
import { type EnginePorts, runEngine } from "./engine.js";
import { leaveWithProducer } from "./leave_with_producer.js";
import type { EngineInit } from "./messages.js";
import { openBackend } from "./open_backend.js";

const { init, ports } = workerData as { init: EngineInit; ports: EnginePorts };
const left = leaveWithProducer(ports.producer, ports.delivery, new Counters(init.memory.counters));
void runEngine(init, ports, openBackend, left);
