import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useClock } from "../../src/base/clock.js";
import { deferred } from "../../src/base/deferred.js";
import type { Sink } from "../../src/handoff/sink.js";
import { startInline } from "../../src/pipeline/start_inline.js";
import { FileSink } from "../../src/sinks/file.js";
import { S3Sink } from "../../src/sinks/s3.js";
import { discardSink, moduleSink } from "../../src/sinks/specs.js";
import { nodePlatform } from "../../src/writer/node_platform.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { openWriterOn } from "../../src/writer/open_writer_on.js";
import { FakeS3 } from "../helpers/fake_s3.js";
import { hookedFs } from "../helpers/faulty_fs.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { codeOf } from "../helpers/outcome.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/**
 * Calls on the outside world that are never answered: what docs/ordering.md says of each, by its name there. A signal
 * is waited for by nothing but what it ends; where a test opens its gate, the documented leftover runs out and its
 * memory is given back.
 */

let folder: string;
let restoreClock: () => void;
beforeEach(async () => {
  // What does not answer is left behind after a second, which has passed here.
  restoreClock = useClock({ nowNs: () => performance.now() * 1e6, wallMs: () => 0, sleep: async () => {} });
  folder = await makeTempFolder();
});
afterEach(() => {
  restoreClock();
  vi.restoreAllMocks();
  return removeFolder(folder);
});

/** The next writer whose threads have ended. */
function untilEnded(): Promise<void> {
  const { promise, resolve } = deferred();
  const ended = (): void => {
    unsubscribe("millrace:close", ended);
    resolve();
  };
  subscribe("millrace:close", ended);
  return promise;
}

const array = {
  dtype: "uint16" as const,
  codec: { name: "none" as const },
  dimensions: [
    { name: "t", size: null, chunk: 1, shard: 2 },
    { name: "x", size: 8, chunk: 4, shard: 4 },
  ],
};
const common = { array, threads: "inline" as const, backend: "cpu" as const, depth: 2, batchEpochs: 1 };
const ROW = new Uint16Array(8).fill(7);

/** A gate at the `at`-th call; what comes there waits. */
function gateAt(at: number) {
  const arrived = deferred();
  const gate = deferred();
  let calls = 0;
  const pass = async (): Promise<void> => {
    if (++calls !== at) return;
    arrived.resolve();
    await gate.promise;
  };
  return { arrived: arrived.promise, pass, release: () => gate.resolve() };
}

/** openWriter with each of its calls held once, until one needs fewer. Returns what the calls were. */
async function holdEachOfOpening(make: (pass: (call: string) => Promise<void>, at: number) => Sink, releases: boolean) {
  const held = new Set<string>();
  for (let at = 1; ; at++) {
    const { arrived, pass, release } = gateAt(at);
    const controller = new AbortController();
    let last = "";
    const counted = async (call: string): Promise<void> => {
      last = call;
      await pass();
    };
    const opened = openWriter({ ...common, sink: inlineSpec(make(counted, at)), signal: controller.signal });
    const first = await Promise.race([opened, arrived]);
    if (first !== undefined) {
      // It would be one of closing.
      release();
      await first.close();
      return held;
    }
    held.add(last);
    const ended = untilEnded();
    controller.abort();
    expect(await codeOf(opened)).toBe("WRITER_ABORTED");
    if (releases) release();
    await ended;
  }
}

describe("files", () => {
  it("[fs-open] each call of opening", async () => {
    const held = await holdEachOfOpening((pass, at) => {
      const { fs } = hookedFs((call) => pass(call));
      return new FileSink({ root: join(folder, `a/${at}`), fs });
    }, true);
    for (const call of ["kindOf", "mkdirAll", "mkdir", "open", "file.writev", "file.datasync", "file.sync", "rename"]) {
      expect([...held]).toContain(call);
    }
  });

  it.each(["open", "mkdir", "file.writev", "file.datasync", "file.sync", "rename"] as const)(
    "[fs-run] %s: flush and append wake at the abort; abort itself ends with the call",
    async (method) => {
      let isRunning = false;
      const { arrived, pass, release } = gateAt(1);
      const { fs } = hookedFs((call) => (isRunning && call === method ? pass() : undefined));
      const writer = await openWriter({ ...common, sink: inlineSpec(new FileSink({ root: join(folder, "a"), fs })) });
      isRunning = true;
      const appends = Array.from({ length: 16 }, () => codeOf(writer.append(ROW)));
      const flushed = codeOf(writer.flush());
      await arrived;
      const aborted = writer.abort();
      expect(await flushed).toBe("WRITER_ABORTED");
      await Promise.all(appends);
      expect(writer.metrics().waiting.map(({ rule }) => rule)).toContain("STOP_JOIN_BEFORE_RELEASE");
      release();
      await aborted;
      expect(writer.metrics().waiting).toEqual([]);
    },
  );

  it("[store-read] a store that is to be resumed", async () => {
    const sink = new FileSink({ root: folder });
    const asked = deferred();
    const never = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const silent = Object.assign(Object.create(sink), { stored: { size: never, getRange: never } }) as Sink;
    const controller = new AbortController();
    const opened = openWriter({ ...common, mode: "resume", sink: inlineSpec(silent), signal: controller.signal });
    await asked.promise;
    controller.abort();
    expect(await codeOf(opened)).toBe("WRITER_ABORTED");
  });
});

describe("a bucket", () => {
  it("[s3-open] each request of opening, and nothing is left behind", async () => {
    vi.spyOn(AbortSignal, "timeout").mockImplementation(() => {
      const lastWords = new AbortController();
      setImmediate(() => lastWords.abort());
      return lastWords.signal;
    });
    const held = await holdEachOfOpening((pass) => {
      const api = new FakeS3();
      api.before = ({ method }) => pass(method);
      return new S3Sink({ api, partBytes: undefined, concurrency: 2 });
    }, false);
    expect([...held]).toEqual(expect.arrayContaining(["list", "putObject"]));
  });

  it("[s3-run] requests of a stream end soon after the abort, and so does the stream", async () => {
    const api = new FakeS3();
    const writer = await openWriter({
      ...common,
      sink: inlineSpec(new S3Sink({ api, partBytes: undefined, concurrency: 2 })),
    });
    const { arrived, pass } = gateAt(1);
    api.before = ({ method, key }) => (method === "putObject" && key.startsWith("c/") ? pass() : undefined);
    for (let row = 0; row < 2; row++) await writer.append(ROW);
    const flushed = codeOf(writer.flush());
    await arrived;
    await writer.abort();
    expect(await flushed).toBe("WRITER_ABORTED");
    expect(api.closed).toBe(true);
  });
});

describe("a module sink", () => {
  it("[module-make] whose function never answers", async () => {
    const gate = new SharedArrayBuffer(8);
    const words = new Int32Array(gate);
    const source = `export default async ({ gate }) => {
      const words = new Int32Array(gate);
      Atomics.store(words, 1, 1);
      while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      throw new Error("too late");
    }`;
    const controller = new AbortController();
    const sink = moduleSink(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { gate });
    const opened = codeOf(openWriter({ ...common, sink, signal: controller.signal }));
    while (Atomics.load(words, 1) === 0) await new Promise((resolve) => setImmediate(resolve));
    const ended = untilEnded();
    controller.abort();
    expect(await opened).toBe("WRITER_ABORTED");
    Atomics.store(words, 0, 1);
    await ended;
  });
});

describe("a device and threads", () => {
  it("[device-adapter] an adapter that is asked for in vain", async () => {
    const asked = deferred();
    const controller = new AbortController();
    const gpuHost = () => {
      asked.resolve();
      return new Promise<never>(() => {});
    };
    const options = { ...common, backend: "auto" as const, sink: discardSink(), signal: controller.signal };
    const opened = openWriterOn({ ...nodePlatform, gpuHost }, options);
    await asked.promise;
    controller.abort();
    expect(await codeOf(opened)).toBe("WRITER_ABORTED");
  });

  it("[device-open] a device, or a thread, that does not get ready", async () => {
    const begun = deferred();
    const gate = deferred();
    const controller = new AbortController();
    const opened = openWriterOn(
      {
        ...nodePlatform,
        startThreads: async (_, init) =>
          startInline(init, async () => {
            begun.resolve();
            await gate.promise;
            throw new Error("no device");
          }),
      },
      { ...common, sink: discardSink(), signal: controller.signal },
    );
    await begun.promise;
    const ended = untilEnded();
    controller.abort();
    expect(await codeOf(opened)).toBe("WRITER_ABORTED");
    gate.resolve();
    await ended;
  });
});
