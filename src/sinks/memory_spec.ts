import { MillraceError, toWireError } from "../base/errors.js";
import { METADATA_NAME } from "../base/metadata_name.js";
import { invalidValue } from "../base/option_values.js";
import type { OpenMode, SinkSpec } from "../handoff/sink.js";
import { type MemoryReply, type MemoryRequest, openChannel, type Port } from "./memory_port.js";

/** Part of an object: a range from a place, or the last bytes. */
export type ByteRange = { readonly offset: number; readonly length: number } | { readonly suffixLength: number };

/**
 * `memorySink()`, the caller's end: the files of a store as a Map, filled while the writer runs on other threads.
 * `get` and `getRange` make it a store for zarrita.js.
 */
export class MemorySinkSpec implements SinkSpec {
  /** Always "memory". */
  readonly kind = "memory";
  /** Always "memory". */
  readonly location = "memory";
  /** False: what it holds ends with the process. */
  readonly journal = false;
  /**
   * Sealed shards and objects by key ("c/0/1", "zarr.json"). Unsealed shards are not here. The caller may change it.
   */
  readonly files = new Map<string, Uint8Array>();
  #offered: { readonly near: Port; readonly far: Port } | undefined;
  /** The end of the writer that has opened this sink and not closed it. */
  #active: Port | undefined;
  /** The last writer has not closed, or left something out. */
  #unclosed = false;

  /**
   * 0: what the files hold is the caller's data and no function of the layout. Bytes of open shards come on top of it,
   * and once more while a shard is being sealed.
   */
  readonly memoryBytes = (): number => 0;

  /** A port for the next writer; the same until a writer has opened it. */
  get options(): { readonly port: unknown } {
    return { port: this.#offer() };
  }

  /** The same port, which moves to the writer's thread. */
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
    if (typeof range !== "object" || range === null) throw invalidValue("A range", "range", "an object", range);
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
      near.postMessage(this.#reply(near, request));
    };
    near.addEventListener?.("close", () => {
      if (this.#active === near) this.#active = undefined;
    });
    // Whoever waits for an answer keeps the process alive, on its own end.
    near.unref?.();
    return channel;
  }

  #reply(port: Port, request: MemoryRequest): MemoryReply {
    const { id } = request;
    try {
      return { id, error: undefined, found: this.#handle(port, request) };
    } catch (error) {
      return { id, error: toWireError(error) };
    }
  }

  #handle(port: Port, request: MemoryRequest): MemoryReply["found"] {
    switch (request.op) {
      case "open":
        this.#open(port, request.mode);
        break;
      case "put":
        this.files.set(request.key, request.bytes);
        break;
      case "size":
        return this.files.get(request.key)?.byteLength;
      case "get":
        return this.files.get(request.key)?.slice(request.offset, request.offset + request.length);
      case "close":
        if (this.#active === port) this.#active = undefined;
        this.#unclosed = !request.clean;
        break;
    }
    return undefined;
  }

  #open(port: Port, mode: OpenMode): void {
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
    if (mode === "resume" && !this.files.has(METADATA_NAME)) {
      throw new MillraceError("STORE_NOT_FOUND", 'this memorySink() holds no store, and the mode is "resume".', {
        context: { path: this.location },
        hint: 'Use mode: "create" to begin a store.',
      });
    }
    if (mode === "resume" && this.#unclosed) {
      throw new MillraceError("STORE_NOT_CLOSED", "the last writer of this memorySink() has not closed it cleanly.", {
        context: { location: this.location },
        hint: 'What it has published can be read; use mode: "overwrite", or a new memorySink(), to write.',
      });
    }
    if (mode !== "resume") this.files.clear();
    this.#unclosed = true;
    this.#active = port;
  }
}

function withoutSlash(key: string): string {
  if (typeof key !== "string") throw invalidValue("A key", "key", "a text", key);
  return key.startsWith("/") ? key.slice(1) : key;
}
