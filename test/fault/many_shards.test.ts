import { afterEach, beforeEach, expect, it } from "vitest";
import { deferred } from "../../src/base/deferred.js";
import type { ShardHandle, Sink, SinkJournal } from "../../src/handoff/sink.js";
import { fileSink } from "../../src/sinks/specs.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { lastJson, startCli } from "../cli/run_cli.js";
import { inlineSpec } from "../helpers/map_sink.js";
import { makeTempFolder, removeFolder } from "../helpers/temp_folder.js";

/** Rows of very many shards: an abort ends what goes through them shard by shard, and the user is told beforehand. */

type Method = "openShard" | "write" | "sync" | "seal";

/** Every call of one method stands at a gate; nothing is kept. */
class GatedSink implements Sink {
  readonly kind = "gated";
  readonly location = "gated";
  readonly parallelShards = 8;
  readonly arrived = deferred();
  readonly hurried = deferred();
  readonly gate = deferred();
  calls = 0;

  constructor(private readonly held: Method) {}

  readonly journal: SinkJournal = {
    begin: async () => {},
    open: async () => ({ append: async () => {}, close: async () => {} }),
    remove: async () => {},
    clear: async () => {},
  };

  readonly hurry = (): void => this.hurried.resolve();

  async open(): Promise<void> {}
  async putObject(): Promise<void> {}
  async close(): Promise<void> {}

  async openShard(): Promise<ShardHandle> {
    await this.#pass("openShard");
    return {
      write: () => this.#pass("write"),
      sync: () => this.#pass("sync"),
      seal: () => this.#pass("seal"),
      abandon: async () => {},
    };
  }

  async #pass(method: Method): Promise<void> {
    if (method !== this.held) return;
    this.calls++;
    this.arrived.resolve();
    await this.gate.promise;
  }
}

const array = (side: number) => ({
  dtype: "uint16" as const,
  codec: { name: "none" as const },
  dimensions: [
    { name: "t", size: null, chunk: 1, shard: 1 },
    { name: "y", size: side, chunk: 1, shard: 1 },
    { name: "x", size: side, chunk: 1, shard: 1 },
  ],
});

it.each<Method>(["openShard", "write", "sync", "seal"])(
  "[many-shards] an abort leaves out the calls of %s that were to come",
  async (held) => {
    const sink = new GatedSink(held);
    const writer = await openWriter({
      sink: inlineSpec(sink),
      threads: "inline",
      durability: "batch",
      array: array(30),
    });
    await writer.append(new Uint16Array(900).fill(7));
    const flushed = writer.flush().catch((error) => error.code);
    await sink.arrived.promise;
    const aborted = writer.abort();
    expect(await flushed).toBe("WRITER_ABORTED");
    await sink.hurried.promise;
    sink.gate.resolve();
    await aborted;
    expect(sink.calls).toBe(sink.parallelShards);
  },
);

let folder: string;
beforeEach(async () => {
  folder = await makeTempFolder();
});
afterEach(() => removeFolder(folder));

it("is said before the first row, with a layout that would do", async () => {
  const warned = deferred();
  const messages: string[] = [];
  const writer = await openWriter({ sink: fileSink(`${folder}/run.zarr`), threads: "inline", array: array(512) });
  writer.on("warning", ({ message }) => {
    messages.push(message);
    if (message.includes("262144 files")) warned.resolve();
  });
  await warned.promise;
  await writer.close();
  expect(messages.filter((message) => message.includes("adviseLayout"))).toHaveLength(1);
});

it("[cli] the command says it too, and two SIGTERMs end it amid the files of a row", async () => {
  const dims = "t:4:1:1,y:512:1:1,x:512:1:1";
  const store = `${folder}/run.zarr`;
  const { child, saw, result } = startCli([
    "write",
    store,
    "--dtype",
    "uint16",
    "--dims",
    dims,
    "--json",
    "--progress",
    "none",
  ]);
  child.stdin?.end(new Uint8Array(4 * 512 * 512 * 2));
  await saw("become");
  child.kill("SIGTERM");
  await saw("closing the store");
  child.kill("SIGTERM");
  const ended = await result;
  expect(ended.code).toBe(130);
  expect(lastJson(ended)).toMatchObject({ error: { code: "WRITER_ABORTED" } });
});
