/** Entry of a thread that copies; see copy.ts. */
import { serveCeiling } from "./thread_loop.js";

await serveCeiling(async ({ partBytes }: { readonly partBytes: number }) => {
  const input = new Uint8Array(partBytes).fill(1);
  const first = new Uint8Array(partBytes).fill(2);
  const second = new Uint8Array(partBytes).fill(3);
  return () => {
    first.set(input);
    second.set(first);
    return { bytes: partBytes, outBytes: partBytes };
  };
});
