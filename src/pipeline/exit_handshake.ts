import { now } from "../base/clock.js";
import type { Counters } from "../metrics/counters.js";
import { orderingFromEnvironment } from "../slots/ordering.js";

/**
 * How long a leaving process waits for its engines: joining one batch of native work takes milliseconds, of a device in
 * software on a busy machine seconds. Who gives up is aborted, so it is no place to be short.
 */
const EXIT_WAIT_MS = 10_000;
/**
 * The same for engines that are still opening: kernels that are being compiled cannot be called back, only waited for.
 */
const EXIT_WAIT_OPENING_MS = 60_000;
const LOOK_AGAIN_MS = 20;

interface LiveStream {
  readonly counters: Counters;
  /** The engine runs on the thread that leaves, so that it could not answer, and nothing works beside it. */
  readonly inline: boolean;
  /** Asks the engine to stop at once. */
  stop(): void;
}

const live = new Set<LiveStream>();
let hooked = false;

/**
 * EXIT_HANDSHAKE: when the process leaves through `process.exit` or an uncaught error, every engine is told to stop and
 * answers through shared memory before the process goes on to tear its threads down. Without it, native threads or a
 * device would still work on memory that is being freed. What was not closed is not saved by this; it only ends in
 * order.
 */
export function guardExit(stream: LiveStream): () => void {
  if (!hooked && typeof process === "object" && typeof process.on === "function") {
    hooked = true;
    process.on("exit", stopAll);
  }
  if (!stream.inline) live.add(stream);
  return () => live.delete(stream);
}

function stopAll(): void {
  if (orderingFromEnvironment().off.includes("EXIT_HANDSHAKE")) return;
  for (const stream of live) stream.stop();
  const openUntilMs = now() + EXIT_WAIT_OPENING_MS;
  for (const { counters } of live) {
    while (counters.get("engineOpened") === 0 && now() < openUntilMs) counters.waitEngineStopped(LOOK_AGAIN_MS);
    counters.waitEngineStopped(EXIT_WAIT_MS);
  }
}
