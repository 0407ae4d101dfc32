import { parentPort } from "node:worker_threads";
import { toWireError } from "../base/errors.js";
import type { CheckAnswer, CheckRequest } from "./check_pool.js";
import { ChunkChecker } from "./chunk_check.js";
import { chunkDecoder } from "./chunk_decoder.js";

/** A thread of CheckPool: decodes the windows that it is sent, one at a time. Ends when it is told to. */

/** By the number of the array; a decoder is opened once. */
const checkers = new Map<number, Promise<ChunkChecker>>();

const port = parentPort!;
const answer = (message: CheckAnswer): void => port.postMessage(message);

async function check({ array, spec, window }: Exclude<CheckRequest, "end">): Promise<void> {
  try {
    let checker = checkers.get(array);
    if (checker === undefined) {
      checker = chunkDecoder(spec).then((decoder) => new ChunkChecker(decoder, spec));
      checkers.set(array, checker);
    }
    answer({ result: await (await checker).check(window) });
  } catch (error) {
    answer({ error: toWireError(error) });
  }
}

port.on("message", (request: CheckRequest) => {
  if (request === "end") port.close();
  else void check(request);
});
answer("ready");
