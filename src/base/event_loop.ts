/** A page's MessagePort; the types of Node's are without `onmessage`. */
interface PagePort {
  onmessage: (() => void) | null;
  postMessage(message: null): void;
  close(): void;
}

/**
 * Resolves when the event loop has turned once: messages and timers that were due have been heard. Web pages lack
 * `setImmediate`; a timer of 0 ms waits 4 ms there once it is nested, and a message does not.
 */
export function turnOfEventLoop(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
  return new Promise((resolve) => {
    if (setImmediate !== undefined) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel() as unknown as { port1: PagePort; port2: PagePort };
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
