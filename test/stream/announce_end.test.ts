import { describe, expect, it } from "vitest";
import type { ShardHandle } from "../../src/handoff/sink.js";
import { openWriter } from "../../src/writer/open_writer.js";
import { inlineSpec, MapSink } from "../helpers/map_sink.js";

/** Logs what a store without a journal is recovered by: where the array ends, and which shards are visible. */
class AnnouncedSink extends MapSink {
  readonly log: string[] = [];
  failsToAnnounce = false;

  readonly announceEnd = async (rows: number): Promise<void> => {
    if (this.failsToAnnounce) throw new Error("no room for a marker");
    this.log.push(`ends at ${rows}`);
  };

  override async openShard(key: string): Promise<ShardHandle> {
    const shard = await super.openShard(key);
    return {
      ...shard,
      seal: async (tail, durable) => {
        await shard.seal(tail, durable);
        this.log.push(key);
      },
    };
  }
}

const SHARD_ROWS = 8;

async function open(sink: AnnouncedSink, size: number | null) {
  return await openWriter({
    sink: inlineSpec(sink),
    threads: "inline",
    backend: "cpu",
    batchEpochs: 1,
    array: { dtype: "uint8", codec: "none", dimensions: [{ name: "t", size, chunk: 4, shard: SHARD_ROWS }] },
  });
}

describe("the end of an array inside a row of shards", () => {
  it.each([
    [null, 8, ["c/0"]],
    [null, 16, ["c/0", "c/1"]],
    // In the last row's first epoch, between its epochs, and in its last epoch, which completes the row before the
    // writer closes.
    [null, 9, ["c/0", "ends at 9", "c/1"]],
    [null, 12, ["c/0", "ends at 12", "c/1"]],
    [null, 15, ["c/0", "ends at 15", "c/1"]],
    [null, 3, ["ends at 3", "c/0"]],
    [15, 15, ["c/0", "ends at 15", "c/1"]],
    [16, 16, ["c/0", "c/1"]],
  ])("of size %s is announced before the shards of %i rows are visible", async (size, rows, expected) => {
    const sink = new AnnouncedSink();
    const writer = await open(sink, size);
    await writer.append(new Uint8Array(rows));
    await writer.close();
    expect(sink.log).toEqual(expected);
  });

  it("fails the writer where it cannot be announced, and seals nothing that would look longer", async () => {
    const sink = new AnnouncedSink();
    sink.failsToAnnounce = true;
    const writer = await open(sink, null);
    await writer.append(new Uint8Array(15));
    await expect(writer.close()).rejects.toThrow(/no room for a marker/);
    expect(sink.log).toEqual(["c/0"]);
    expect(JSON.parse(Buffer.from(sink.files.get("zarr.json")!).toString()).shape).toEqual([SHARD_ROWS]);
  });
});
