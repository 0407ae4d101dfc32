import { Worker } from "node:worker_threads";
import { MillraceError } from "../base/errors.js";
import { workerFlags } from "../base/worker_flags.js";
import type { DeliveryNews, FromEngine, ToEngine } from "./messages.js";
import type { Port } from "./port.js";
import type { StreamThreads, StreamThreadsInit } from "./stream_threads.js";

/** Starts engine and delivery as two workers. `onLost` hears of a thread that ends without having been asked to. */
export function startWorkers(init: StreamThreadsInit, onLost: (error: MillraceError) => void): StreamThreads {
  const toEngine = new MessageChannel();
  const toDelivery = new MessageChannel();
  const between = new MessageChannel();
  // Delivery first: its sink's options are the caller's and may refuse to be cloned; then no thread has started yet.
  const workers = [
    start(
      "delivery",
      "./delivery_thread.js",
      { init: init.delivery, ports: { producer: toDelivery.port2, engine: between.port2 } },
      [toDelivery.port2, between.port2, ...init.transfer],
      onLost,
    ),
    start(
      "engine",
      "./engine_thread.js",
      { init: init.engine, ports: { producer: toEngine.port2, delivery: between.port1 } },
      [toEngine.port2, between.port1],
      onLost,
    ),
  ];
  const engine = toEngine.port1 as unknown as Port<ToEngine, FromEngine>;
  const delivery = toDelivery.port1 as unknown as Port<never, DeliveryNews>;
  return {
    engine,
    delivery,
    keepAlive(alive) {
      for (const thing of [engine, delivery, workers[0].worker, workers[1].worker]) {
        if (alive) thing.ref?.();
        else thing.unref?.();
      }
    },
    async end() {
      engine.close();
      delivery.close();
      await Promise.all(workers.map((w) => w.ended));
    },
  };
}

function start(
  name: string,
  file: string,
  workerData: object,
  transferList: readonly unknown[],
  onLost: (error: MillraceError) => void,
): { worker: Worker; ended: Promise<void> } {
  let worker: Worker;
  try {
    worker = new Worker(new URL(file, import.meta.url), {
      name: `millrace-${name}`,
      execArgv: workerFlags(),
      workerData,
      transferList: transferList as never,
    });
  } catch (cause) {
    if ((cause as Error).name !== "DataCloneError") {
      throw new MillraceError("THREAD_FAILED", `the ${name} thread could not start.`, { cause });
    }
    throw new MillraceError("INVALID_OPTION", `Option sink cannot be sent to its thread: ${(cause as Error).message}`, {
      context: { option: "sink" },
      hint: "A sink's options must be plain data, its ports listed in `transfer`, and each sink is for one writer at a time.",
      cause,
    });
  }
  worker.on("error", (cause) => {
    onLost(new MillraceError("THREAD_FAILED", `the ${name} thread stopped: ${cause.message}.`, { cause }));
  });
  const ended = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      // After an orderly stop nobody listens any more.
      onLost(new MillraceError("THREAD_FAILED", `the ${name} thread ended early, with code ${code}.`));
      resolve();
    });
  });
  return { worker, ended };
}
