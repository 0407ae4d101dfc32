import type { EventEmitter } from "node:events";
import { afterEach, expect, it, vi } from "vitest";
import { MillraceError, toWireError } from "../../../src/base/errors.js";
import type { EncodeRequest } from "../../../src/cpu/batch_tasks.js";
import { type EncodeThreadInit, type ToEncodeThread, WorkerExecutor } from "../../../src/cpu/worker_executor.js";
import { codeOf, failureOf } from "../../helpers/outcome.js";

type FakeThread = EventEmitter & { readonly told: ToEncodeThread[] };

/** Threads that answer when the test says so. */
const threads = vi.hoisted((): FakeThread[] => []);
vi.mock("node:worker_threads", async () => {
  const { EventEmitter } = await import("node:events");
  class Worker extends EventEmitter {
    readonly told: ToEncodeThread[] = [];
    constructor() {
      super();
      threads.push(this);
      queueMicrotask(() => this.emit("message", { type: "ready", provider: "fake" }));
    }
    postMessage(message: ToEncodeThread): void {
      this.told.push(message);
    }
  }
  return { Worker };
});

afterEach(() => {
  threads.length = 0;
});

const REQUEST: EncodeRequest = {
  stagingIndex: 0,
  stagingEpoch: 0,
  outputIndex: 1,
  epochCount: 2,
  lastEpochRows: 3,
  skippedEpochs: undefined,
};

const open = (count: number): Promise<WorkerExecutor> => WorkerExecutor.open({} as EncodeThreadInit, count);

/** Thread `i` has no chunk left of batch `id`. */
function answer(i: number, id: number, busyNs: number, error?: MillraceError): void {
  threads[i].emit("message", { type: "done", id, busyNs, error: error && toWireError(error) });
}

/** What the promise has come to by now, with all that was due done. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  const pending = Symbol("pending");
  await new Promise((resolve) => setImmediate(resolve));
  return Promise.race([promise, Promise.resolve(pending)]).then(
    (value) => (value === pending ? "pending" : "resolved"),
    () => "rejected",
  );
}

it("tells every thread of a batch, which is done when all of them have let go of it", async () => {
  const executor = await open(3);
  const first = executor.encode(REQUEST);
  const second = executor.encode(REQUEST);
  for (const { told } of threads) expect(told.map((message) => message.type)).toEqual(["encode", "encode"]);
  answer(0, 1, 10);
  answer(2, 1, 5);
  answer(2, 2, 100);
  expect([await stateOf(first), await stateOf(second)]).toEqual(["pending", "pending"]);
  answer(1, 1, 1);
  expect(await first).toBe(16);
  answer(0, 2, 0);
  expect(await stateOf(second)).toBe("pending");
  answer(1, 2, 7);
  expect(await second).toBe(107);
});

it("a batch that a thread fails is over when every thread has let go of it, with the first failure", async () => {
  const executor = await open(2);
  const failed = executor.encode(REQUEST);
  answer(1, 1, 0, new MillraceError("CODEC_FAILED", "no room."));
  expect(await stateOf(failed)).toBe("pending");
  answer(0, 1, 0, new MillraceError("INTERNAL", "later."));
  expect(await failureOf(failed)).toMatchObject({ code: "CODEC_FAILED" });
  const next = executor.encode(REQUEST);
  answer(0, 2, 1);
  answer(1, 2, 1);
  expect(await next).toBe(2);
});

it("a thread that is lost fails what it had not answered, once the others have, and all that comes later", async () => {
  const executor = await open(2);
  const answered = executor.encode(REQUEST);
  const half = executor.encode(REQUEST);
  answer(1, 1, 4);
  threads[1].emit("error", new Error("gone"));
  expect([await stateOf(answered), await stateOf(half)]).toEqual(["pending", "pending"]);
  answer(0, 1, 4);
  answer(0, 2, 4);
  expect(await answered).toBe(8);
  expect(await codeOf(half)).toBe("THREAD_FAILED");
  expect(await codeOf(executor.encode(REQUEST))).toBe("THREAD_FAILED");
});

it("asks its threads to stop, once, and is closed when they have ended", async () => {
  const executor = await open(2);
  const closed = executor.close();
  expect(executor.close()).toBe(closed);
  for (const { told } of threads) expect(told).toEqual([{ type: "stop" }]);
  threads[0].emit("exit", 0);
  expect(await stateOf(closed)).toBe("pending");
  threads[1].emit("exit", 0);
  await closed;
});
