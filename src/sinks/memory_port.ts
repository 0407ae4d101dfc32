import type { WireError } from "../base/errors.js";
import type { OpenMode } from "../handoff/sink.js";

/** The messages between a memory sink, on the delivery worker, and its files, on the caller's thread. */
export type MemoryRequest =
  | { readonly id: number; readonly op: "open"; readonly mode: OpenMode }
  /** `bytes` is moved, not copied. */
  | { readonly id: number; readonly op: "put"; readonly key: string; readonly bytes: Uint8Array }
  | { readonly id: number; readonly op: "size"; readonly key: string }
  | { readonly id: number; readonly op: "get"; readonly key: string; readonly offset: number; readonly length: number }
  /** `clean`: everything that was begun is there whole. */
  | { readonly id: number; readonly op: "close"; readonly clean: boolean };

export interface MemoryReply {
  readonly id: number;
  /** Undefined: done, and the files hold the bytes. */
  readonly error: WireError | undefined;
  /** Answers "size" and "get"; undefined: there is no such object. */
  readonly found?: number | Uint8Array;
}

/** What a MessagePort is in Node and in browsers alike. */
export interface Port {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  close(): void;
  addEventListener?(type: "close", listener: () => void): void;
  /** Node only: whether a listening port keeps the process alive. */
  ref?(): void;
  unref?(): void;
}

/** Both ends of a new channel; neither keeps the process alive. */
export function openChannel(): { readonly near: Port; readonly far: Port } {
  const { port1, port2 } = new MessageChannel();
  return { near: port1 as unknown as Port, far: port2 as unknown as Port };
}
