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

/**
 * What a thread hears while it opens, through real ports: a port without a listener keeps its messages, and says once
 * that it closed.
 */
const memory = () =>
  allocateStreamMemory({
    stagingSlots: 1,
    stagingSlotBytes: 8,
    outputSlots: 1,
    outputLayout: { slotBytes: 8, chunkStrideBytes: 8, chunksPerEpoch: 1, epochsPerBatch: 1 },
  });
const ordering = { debug: true, off: [] };

function engine() {
  const geometry = { epochRows: 1 };
  const init = { geometry, memory: memory(), ordering, firstRow: 0, maxPendingBytes: 1 } as unknown as EngineInit;
  const producer = new MessageChannel();
  const between = new MessageChannel();
  const ports = { producer: producer.port2, delivery: between.port1 } as unknown as EnginePorts;
  const counters = new Counters(init.memory.counters);
  /** What the thread's entry does once it is loaded. */
  const loaded = () => leaveWithProducer(ports.producer, ports.delivery, counters);
  return { loaded, init, ports, counters, producer: producer.port1, delivery: between.port2 };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Both ends of a channel are closed, and whoever listens now hears nothing of it. */
async function closedBefore(end: MessagePort, other: unknown): Promise<void> {
  const heard = once(other as MessagePort, "close");
  end.close();
  await heard;
  await turn();
}

const backend = (close: () => void): Backend =>
  ({ kind: "cpu", adapter: "none", close: async () => close() }) as unknown as Backend;

function deliveryInit(): DeliveryInit {
  return {
    geometry: describeGeometry("uint8", [{ name: "t", size: null, chunk: 1 }]),
    memory: memory(),
    ordering,
    mode: "create",
    durable: true,
    publishIntervalMs: 0,
    chunkBytesMax: 1,
    metadata: { codecs: [], fill: { json: 0, bytes: new Uint8Array(1) }, attributes: {} },
  } as unknown as DeliveryInit;
}

it("lets the engine's thread end when its backend does not open, also with a message on the way to it", async () => {
  const { loaded, init, ports, producer, delivery } = engine();
  const left = loaded();
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
  await runEngine(init, ports, () => Promise.reject(new MillraceError("BACKEND_UNAVAILABLE", "no backend.")), left);
  await stopped;
  producer.close();
  await closed;
  expect(messages).toEqual(["failed", "stopped"]);
});

it("closes the backend when delivery's thread was lost while it opened", async () => {
  const { loaded, init, ports, producer, delivery } = engine();
  const left = loaded();
  let closed = false;
  let open: (backend: Backend) => void = () => {};
  const running = runEngine(
    init,
    ports,
    () =>
      new Promise((resolve) => {
        open = resolve;
      }),
    left,
  );
  await closedBefore(delivery, ports.delivery);
  open(
    backend(() => {
      closed = true;
    }),
  );
  producer.postMessage({ type: "abort", hurry: false });
  await running;
  producer.close();
  expect(closed).toBe(true);
});

// Nothing of an engine that is never told keeps its thread alive where the addon encodes; threads of its own do.
it("closes the backend when delivery's thread was lost before the engine's was loaded", async () => {
  const { loaded, init, ports, counters, producer, delivery } = engine();
  await closedBefore(delivery, ports.delivery);
  const left = loaded();
  let closed = false;
  const running = runEngine(
    init,
    ports,
    async () =>
      backend(() => {
        closed = true;
      }),
    left,
  );
  // As the writer does when a thread is lost.
  producer.postMessage({ type: "abort", hurry: false });
  counters.raise("producerLeft", 1);
  producer.close();
  await running;
  expect(closed).toBe(true);
});

it("hears of a producer that has left before the thread was loaded", async () => {
  const { loaded, ports, counters, producer, delivery } = engine();
  const closed = once(delivery, "close");
  counters.raise("producerLeft", 1);
  await closedBefore(producer, ports.producer);
  await loaded();
  await closed;
});

it("does not touch the store once the producer has left", async () => {
  const { memory: shared } = deliveryInit();
  new Counters(shared.counters).raise("producerLeft", 1);
  const ports = { producer: new MessageChannel().port2, engine: new MessageChannel().port2 };
  await runDelivery({ ...deliveryInit(), memory: shared }, ports as unknown as DeliveryPorts, async () => {
    throw new Error("asked for the sink");
  });
});

it("closes the sink when the engine's thread was lost while the store opened", async () => {
  const init = deliveryInit();
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
  await closedBefore(between.port1, between.port2);
  open();
  await running;
  producer.port1.close();
  expect(closed).toBe(true);
  expect(new Counters(init.memory.counters).get("deliveryStopped")).toBe(1);
});
