import type { ShardHandle, Sink, SinkSpec } from "../../src/handoff/sink.js";

/** The plainest sink: visible objects in a map, unsealed shards nowhere. */
export class MapSink implements Sink {
  readonly kind = "map";
  readonly location = "a map";
  readonly files = new Map<string, Uint8Array>();
  closed = false;

  async open(): Promise<void> {}

  async openShard(key: string): Promise<ShardHandle> {
    const parts: Uint8Array[] = [];
    return {
      write: async (segments) => {
        for (const segment of segments) parts.push(segment.slice());
      },
      seal: async (tail) => {
        this.files.set(key, new Uint8Array(Buffer.concat([...parts, tail])));
      },
      abandon: async () => {},
    };
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    this.files.set(key, bytes.slice());
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

/** A ready-made sink for `threads: "inline"`. */
export function inlineSpec(instance: Sink): SinkSpec {
  return { kind: instance.kind, location: instance.location, options: {}, memoryBytes: () => 0, instance };
}
