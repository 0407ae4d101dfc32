import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import { describeGeometry } from "../../../src/geometry/array_geometry.js";
import type { Backend } from "../../../src/handoff/backend.js";
import type { Sink } from "../../../src/handoff/sink.js";
import { Counters } from "../../../src/metrics/counters.js";
import { type EnginePorts, runEngine } from "../../../src/pipeline/engine.js";
import { leaveWithProducer } from "../../../src/pipeline/leave_with_producer.js";
import type { DeliveryInit, EngineInit } from "../../../src/pipeline/messages.js";
import { type DeliveryPorts, runDelivery } from "../../../src/pipeline/run_delivery.js";
import { allocateStreamMemory } from "../../../src/pipeline/stream_memory.js";

/** What a thread hears while it opens, through real ports: a port without a listener keeps its messages, and says once that it closed. */
const memory = () =>
  allocateStreamMemory({
    stagingSlots: 1,
    stagingSlotBytes: 8,
    outputSlots: 1,
    outputLayout: { slotBytes: 8, chunkStrideBytes: 8, chunksPerEpoch: 1, epochsPerBatch: 1 },
  });
const ordering = { debug: true, off: [] };

function engine() {
  const init = { memory: memory(), ordering, firstRow: 0, maxPendingBytes: 1 } as unknown as EngineInit;
  const producer = new MessageChannel();
  const between = new MessageChannel();
  const ports = { producer: producer.port2, delivery: between.port1 } as unknown as EnginePorts;
  leaveWithProducer(ports.producer, ports.delivery);
  return { init, ports, producer: producer.port1, delivery: between.port2 };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("lets the engine's thread end when its backend does not open, also with a message still on the way to it", async () => {
  const { init, ports, producer, delivery } = engine();
  delivery.on("message", () => {});
  const closed = once(delivery, "close");
  const messages: string[] = [];
  const stopped = new Promise<void>((resolve) => {
    producer.on("message", ({ type }) => {
      messages.push(type);
      // As the writer does.
      if (type === "failed") producer.postMessage({ type: "abort", hurry: false });
      if (type === "stopped") resolve();
    });
  });
  await runEngine(init, ports, () => Promise.reject(new MillraceError("BACKEND_UNAVAILABLE", "no backend.")));
  await stopped;
  producer.close();
  await closed;
  expect(messages).toEqual(["failed", "stopped"]);
});

it("closes the backend when delivery's thread was lost while it opened", async () => {
  const { init, ports, producer, delivery } = engine();
  let closed = false;
  let open: (backend: Backend) => void = () => {};
  const running = runEngine(
    init,
    ports,
    () =>
      new Promise((resolve) => {
        open = resolve;
      }),
  );
  const heard = once(ports.delivery as unknown as MessagePort, "close");
  delivery.close();
  await heard;
  open({
    kind: "cpu",
    adapter: "none",
    close: async () => {
      closed = true;
    },
  } as unknown as Backend);
  producer.postMessage({ type: "abort", hurry: false });
  await running;
  producer.close();
  expect(closed).toBe(true);
});

it("closes the sink when the engine's thread was lost while the store opened", async () => {
  const geometry = describeGeometry("uint8", [{ name: "t", size: null, chunk: 1 }]);
  const init = {
    geometry,
    memory: memory(),
    ordering,
    mode: "create",
    durable: true,
    publishIntervalMs: 0,
    chunkBytesMax: 1,
    metadata: { codecs: [], fill: { json: 0, bytes: new Uint8Array(1) }, attributes: {} },
  } as unknown as DeliveryInit;
  const producer = new MessageChannel();
  const between = new MessageChannel();
  let closed = false;
  let open: () => void = () => {};
  const sink = {
    kind: "held",
    location: "held",
    open: () =>
      new Promise<void>((resolve) => {
        open = resolve;
      }),
    putObject: async () => {},
    close: async () => {
      closed = true;
    },
  } as unknown as Sink;
  const ports = { producer: producer.port2, engine: between.port2 } as unknown as DeliveryPorts;
  const running = runDelivery(init, ports, async () => sink);
  const heard = once(between.port2, "close");
  between.port1.close();
  await heard;
  await turn();
  open();
  await running;
  producer.port1.close();
  expect(closed).toBe(true);
  expect(new Counters(init.memory.counters).get("deliveryStopped")).toBe(1);
});
