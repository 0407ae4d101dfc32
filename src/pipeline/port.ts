/**
 * A message port as Node and browsers both have it. Every pair of threads talks over one, also when the "threads" are
 * all the caller's own: then messages still arrive in a later turn of the event loop, in order, so inline runs take the
 * same paths.
 */
export interface Port<Out, In> {
  postMessage(message: Out, transfer?: readonly unknown[]): void;
  onmessage: ((event: { data: In }) => void) | null;
  close(): void;
  /** Node: the other end closed, or its thread is gone. */
  addEventListener?(type: "close", listener: () => void): void;
  ref?(): void;
  unref?(): void;
}
