/** Entry of the engine thread: waits for its init and ports, runs one engine, ends. */
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.js";
import { type EnginePorts, runEngine } from "./engine.js";
import { leaveWithProducer } from "./leave_with_producer.js";
import type { EngineInit } from "./messages.js";
import { openBackend } from "./open_backend.js";

assert(parentPort !== null, "engine_thread runs as a worker");
parentPort.once("message", async ({ init, ports }: { init: EngineInit; ports: EnginePorts }) => {
  leaveWithProducer(ports.producer, ports.delivery);
  await runEngine(init, ports, openBackend);
});
