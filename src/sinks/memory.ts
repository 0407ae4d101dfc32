import { assert } from "../base/assert.js";
import { fromWireError, MillraceError } from "../base/errors.js";
import type { OpenMode, ShardHandle, Sink, StoredObjects } from "../handoff/sink.js";
import type { MemoryReply, MemoryRequest, Port } from "./memory_port.js";
import { checkKey } from "./object_key.js";
import { totalBytes } from "./write_all.js";

type Unnumbered = MemoryRequest extends infer R ? (R extends MemoryRequest ? Omit<R, "id"> : never) : never;

interface Waiting {
  readonly resolve: (found: MemoryReply["found"]) => void;
  readonly reject: (error: MillraceError) => void;
  readonly key: string;
}

/**
 * The delivery worker's end of `memorySink()`: gathers a shard while it is open, and moves it to the caller's thread
 * when it is sealed. A seal or a put is over when the other side has acknowledged it, so its bytes can be read from
 * then on.
 */
export class MemorySink implements Sink {
  readonly kind = "memory";
  readonly location = "memory";
  readonly #waiting = new Map<number, Waiting>();
  readonly #openKeys = new Set<string>();
  #lastId = 0;
  #lost = false;
  /** Every shard that was opened was sealed, and every object put. */
  #clean = true;
  #closing: Promise<void> | undefined;

  constructor(private readonly port: Port) {
    port.onmessage = (event) => this.#acknowledge(event.data as MemoryReply);
    port.addEventListener?.("close", () => this.#lose());
    // Setting onmessage makes Node count the port as work. It is, but only while an answer is due.
    port.unref?.();
  }

  open(mode: OpenMode): Promise<void> {
    return this.#tell({ op: "open", mode }, "", []);
  }

  readonly stored: StoredObjects = {
    size: async (key) => (await this.#ask({ op: "size", key }, key, [])) as number | undefined,
    getRange: async (key, offset, length) =>
      (await this.#ask({ op: "get", key, offset, length }, key, [])) as Uint8Array | undefined,
  };

  async openShard(key: string): Promise<ShardHandle> {
    checkKey(key);
    assert(!this.#openKeys.has(key), "a shard is opened once at a time", { key });
    this.#openKeys.add(key);
    let parts: Uint8Array[] = [];
    let failure: unknown;
    let isOpen = true;
    const add = (segments: readonly Uint8Array[]) => {
      assert(isOpen, "the shard is open", { key });
      if (failure !== undefined) throw failure;
      parts.push(joined(segments));
    };
    const end = () => {
      isOpen = false;
      parts = [];
      this.#openKeys.delete(key);
    };
    return {
      write: async (segments) => add(segments),
      seal: async (tail) => {
        add([tail]);
        const bytes = joined(parts);
        try {
          await this.#tell({ op: "put", key, bytes }, key, [bytes.buffer as ArrayBuffer]);
        } catch (error) {
          failure = error;
          this.#clean = false;
          throw error;
        }
        end();
      },
      abandon: async (keep) => {
        if (!isOpen) return;
        if (keep) this.#clean = false;
        end();
      },
    };
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    const copy = joined([bytes]);
    await this.#tell({ op: "put", key, bytes: copy }, key, [copy.buffer as ArrayBuffer]);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const left = [...this.#openKeys];
    // When the other side is gone there is nobody left to tell.
    if (!this.#lost) await this.#tell({ op: "close", clean: this.#clean }, "", []);
    this.port.close();
    assert(left.length === 0, "every shard is sealed or abandoned before the sink closes", { keys: left });
  }

  async #tell(request: Unnumbered, key: string, transfer: readonly ArrayBuffer[]): Promise<void> {
    await this.#ask(request, key, transfer);
  }

  #ask(request: Unnumbered, key: string, transfer: readonly ArrayBuffer[]): Promise<MemoryReply["found"]> {
    if (this.#lost) return Promise.reject(lostError(key));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, key });
      this.port.ref?.();
      this.port.postMessage({ ...request, id }, transfer);
    });
  }

  #acknowledge(reply: MemoryReply): void {
    const waiting = this.#waiting.get(reply.id);
    assert(waiting !== undefined, "an answer belongs to a question", { id: reply.id });
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.port.unref?.();
    if (reply.error === undefined) waiting.resolve(reply.found);
    else waiting.reject(fromWireError(reply.error));
  }

  #lose(): void {
    this.#lost = true;
    for (const { reject, key } of this.#waiting.values()) reject(lostError(key));
    this.#waiting.clear();
  }
}

function lostError(key: string): MillraceError {
  return new MillraceError("SINK_FAILED", "the thread that holds the memory sink's files is gone.", {
    context: { key },
  });
}

/** A copy in memory of its own, never shared. */
function joined(segments: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(totalBytes(segments));
  let at = 0;
  for (const segment of segments) {
    bytes.set(segment, at);
    at += segment.byteLength;
  }
  return bytes;
}
