import { MillraceError, toWireError } from "../base/errors.js";
import type { SinkSpec } from "../handoff/sink.js";
import { type MemoryReply, type MemoryRequest, openChannel, type Port } from "./memory_port.js";

/** Part of an object: a range from a place, or the last bytes. */
export type ByteRange = { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

/**
 * `memorySink()`, the caller's end: the files of a store as a Map, filled while the writer runs on other threads.
 * `get` and `getRange` make it a store for zarrita.js.
 */
export class MemorySinkSpec implements SinkSpec {
  readonly kind = "memory";
  readonly location = "memory";
  readonly journal = false;
  /** Sealed shards and objects by key ("c/0/1", "zarr.json"). Unsealed shards are not here. The caller may change it. */
  readonly files = new Map<string, Uint8Array>();
  #offered: { readonly near: Port; readonly far: Port } | undefined;
  /** The end of the writer that has opened this sink and not closed it. */
  #active: Port | undefined;

  /**
   * 0: what the files hold is the caller's data and no function of the layout. Bytes of open shards come on top of it, and
   * once more while a shard is being sealed.
   */
  readonly memoryBytes = (): number => 0;

  /** A port for the next writer; the same until a writer has opened it. */
  get options(): { readonly port: unknown } {
    return { port: this.#offer() };
  }

  get transfer(): readonly unknown[] {
    return [this.#offer()];
  }

  /** The bytes of an object, undefined when there is none. A leading slash is optional. */
  async get(key: string): Promise<Uint8Array | undefined> {
    return this.files.get(withoutSlash(key));
  }

  /** A part of an object; shorter where the object ends before. */
  async getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const bytes = this.files.get(withoutSlash(key));
    if (bytes === undefined) return undefined;
    if ("suffixLength" in range) return bytes.subarray(Math.max(0, bytes.byteLength - range.suffixLength));
    return bytes.subarray(range.offset, range.offset + range.length);
  }

  #offer(): Port {
    this.#offered ??= this.#listen();
    return this.#offered.far;
  }

  #listen(): { readonly near: Port; readonly far: Port } {
    const channel = openChannel();
    const { near } = channel;
    near.onmessage = (event) => {
      const request = event.data as MemoryRequest;
      const reply: MemoryReply = { id: request.id, error: this.#attempt(near, request) };
      near.postMessage(reply);
    };
    near.addEventListener?.("close", () => {
      if (this.#active === near) this.#active = undefined;
    });
    // Whoever waits for an answer keeps the process alive, on its own end.
    near.unref?.();
    return channel;
  }

  #attempt(port: Port, request: MemoryRequest): MemoryReply["error"] {
    try {
      this.#handle(port, request);
      return undefined;
    } catch (error) {
      return toWireError(error);
    }
  }

  #handle(port: Port, request: MemoryRequest): void {
    switch (request.op) {
      case "open":
        this.#open(port, request.mode);
        break;
      case "put":
        this.files.set(request.key, request.bytes);
        break;
      case "close":
        if (this.#active === port) this.#active = undefined;
        break;
    }
  }

  #open(port: Port, mode: "create" | "overwrite"): void {
    if (this.#offered?.near === port) this.#offered = undefined;
    if (this.#active !== undefined) {
      throw new MillraceError("INVALID_OPTION", "this memorySink() is in use by another writer.", {
        context: { option: "sink" },
        hint: "Close that writer first, or make a second memorySink().",
      });
    }
    if (mode === "create" && this.files.size > 0) {
      const [entry] = this.files.keys();
      throw new MillraceError("STORE_EXISTS", 'this memorySink() already holds a store, and the mode is "create".', {
        context: { path: this.location, entry, entries: this.files.size },
        hint: 'Make a new memorySink(), or use mode: "overwrite" to delete the old store first.',
      });
    }
    this.files.clear();
    this.#active = port;
  }
}

function withoutSlash(key: string): string {
  return key.startsWith("/") ? key.slice(1) : key;
}
