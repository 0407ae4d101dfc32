/** Entry of the engine thread: takes its init and ports, runs one engine, ends. */
import { workerData } from "node:worker_threads";
import { type EnginePorts, runEngine } from "./engine.js";
import { leaveWithProducer } from "./leave_with_producer.js";
import type { EngineInit } from "./messages.js";
import { openBackend } from "./open_backend.js";

const { init, ports } = workerData as { init: EngineInit; ports: EnginePorts };
leaveWithProducer(ports.producer, ports.delivery);
void runEngine(init, ports, openBackend);
