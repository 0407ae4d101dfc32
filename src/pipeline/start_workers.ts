import { Worker } from "node:worker_threads";
import { MillraceError } from "../base/errors.js";
import { threadFailed } from "../base/thread_failed.js";
import { workerFlags } from "../base/worker_flags.js";
import { Counters } from "../metrics/counters.js";
import type { DeliveryNews, FromEngine, ToEngine } from "./messages.js";
import type { Port } from "./port.js";
import type { StreamThreads, StreamThreadsInit } from "./stream_threads.js";

type Lost = (error: MillraceError) => void;

/**
 * Starts engine and delivery as two workers. `onLost` hears of a thread that ends without having been asked to. Rejects
 * when one cannot be started; then no thread is left.
 */
export async function startWorkers(init: StreamThreadsInit, onLost: Lost): Promise<StreamThreads> {
  const toEngine = new MessageChannel();
  const toDelivery = new MessageChannel();
  const between = new MessageChannel();
  let lost = onLost;
  const watch = (name: string, make: () => Worker) => start(name, make, (error) => lost(error));
  // Delivery first: its sink's options are the caller's and may refuse to be cloned; then no thread has started yet.
  const delivery = watch(
    "delivery",
    () =>
      new Worker(new URL("./delivery_thread.js", import.meta.url), {
        name: "millrace-delivery",
        workerData: { init: init.delivery, ports: { producer: toDelivery.port2, engine: between.port2 } },
        transferList: [toDelivery.port2, between.port2, ...init.transfer] as never,
        ...workerFlags(),
      }),
  );
  let engine: Started;
  try {
    engine = watch(
      "engine",
      () =>
        new Worker(new URL("./engine_thread.js", import.meta.url), {
          name: "millrace-engine",
          workerData: { init: init.engine, ports: { producer: toEngine.port2, delivery: between.port1 } },
          transferList: [toEngine.port2, between.port1] as never,
          ...workerFlags(),
        }),
    );
  } catch (error) {
    // Delivery is opening the store, and waits for an engine that never comes: without this its marker and its thread
    // would stay.
    lost = () => {};
    new Counters(init.delivery.memory.counters).raise("producerLeft", 1);
    toDelivery.port1.close();
    await delivery.ended;
    throw error;
  }
  const enginePort = toEngine.port1 as unknown as Port<ToEngine, FromEngine>;
  const deliveryPort = toDelivery.port1 as unknown as Port<never, DeliveryNews>;
  return {
    engine: enginePort,
    delivery: deliveryPort,
    keepAlive(alive) {
      for (const thing of [enginePort, deliveryPort, delivery.worker, engine.worker]) {
        if (alive) thing.ref?.();
        else thing.unref?.();
      }
    },
    async end() {
      enginePort.close();
      deliveryPort.close();
      await Promise.all([delivery.ended, engine.ended]);
    },
  };
}

interface Started {
  readonly worker: Worker;
  readonly ended: Promise<void>;
}

function start(name: string, make: () => Worker, onLost: Lost): Started {
  let worker: Worker;
  try {
    worker = make();
  } catch (cause) {
    if (name !== "delivery" || (cause as Error).name !== "DataCloneError") {
      throw threadFailed(`the ${name} thread could not start`, cause);
    }
    throw new MillraceError("INVALID_OPTION", `Option sink cannot be sent to its thread: ${(cause as Error).message}`, {
      context: { option: "sink" },
      hint:
        "A sink's options must be plain data, its ports listed in `transfer`, and each sink is for one writer " +
        "at a time.",
      cause,
    });
  }
  worker.on("error", (cause) => onLost(threadFailed(`the ${name} thread stopped`, cause)));
  const ended = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      // After an orderly stop nobody listens any more.
      onLost(threadFailed(`the ${name} thread ended early, with code ${code}`));
      resolve();
    });
  });
  return { worker, ended };
}
