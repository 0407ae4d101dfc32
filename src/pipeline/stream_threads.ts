import type { Sink } from "../handoff/sink.js";
import type { DeliveryInit, DeliveryNews, EngineInit, FromEngine, ToEngine } from "./messages.js";
import type { Port } from "./port.js";

export interface StreamThreadsInit {
  readonly engine: EngineInit;
  readonly delivery: DeliveryInit;
  /** Ports inside the sink's options: they move to the delivery thread. */
  readonly transfer: readonly unknown[];
  /** A ready-made sink; inline only. */
  readonly sinkInstance: Sink | undefined;
}

/** The producer's ends of a running stream. */
export interface StreamThreads {
  readonly engine: Port<ToEngine, FromEngine>;
  readonly delivery: Port<never, DeliveryNews>;
  /** While true, the stream keeps the process alive. Starts as true. */
  keepAlive(alive: boolean): void;
  /** After both have said "stopped": closes the ports, which lets the threads end, and waits for that. */
  end(): Promise<void>;
}
