/** Entry of an encode thread; see worker_executor.ts. Owns one ChunkWorker and nothing else. */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../base/assert.js";
import { MillraceError, toWireError } from "../base/errors.js";
import { loadAddon } from "../native/binding.js";
import { ChunkWorker } from "./chunk_worker.js";
import { goBehind } from "./go_behind.js";
import type { EncodeThreadInit, FromEncodeThread, ToEncodeThread } from "./worker_executor.js";

assert(parentPort !== null, "encode_thread runs as a worker");
const port = parentPort;
const init = workerData as EncodeThreadInit;

goBehind();
try {
  const worker = await ChunkWorker.open(init.plan, init.memory, init.codec, loadAddon());
  port.on("message", (message: ToEncodeThread) => {
    if (message.type === "stop") {
      worker.close();
      port.close();
      return;
    }
    let busyNs = 0;
    let error: unknown;
    try {
      busyNs = worker.run(message.request);
    } catch (cause) {
      error =
        cause instanceof MillraceError
          ? cause
          : new MillraceError("CODEC_FAILED", "encoding a chunk failed.", { cause });
    }
    const wire = error === undefined ? undefined : toWireError(error);
    port.postMessage({ type: "done", id: message.id, busyNs, error: wire } satisfies FromEncodeThread);
  });
  port.postMessage({ type: "ready", provider: worker.provider } satisfies FromEncodeThread);
} catch (error) {
  port.postMessage({ type: "failed", error: toWireError(error) });
  port.close();
}
