// Cost of one append call, by size: what the caller's thread pays, backpressure included when the pipeline is the
// slower side.
import { discardSink, openWriter } from "../../dist/index.js";

const RING_BYTES = 64 * 2 ** 20;
const SIZES = [512, 4096, 65_536, 2 ** 20];

export async function appendGroup() {
  const ring = new Uint8Array(RING_BYTES).map((_, i) => i * 31);
  const writer = await openWriter({
    sink: discardSink(),
    array: {
      dtype: "uint16",
      dimensions: [
        { name: "t", size: null, chunk: 2048, shard: 131_072 },
        { name: "y", size: 16, chunk: 16, shard: 16 },
        { name: "x", size: 16, chunk: 16, shard: 16 },
      ],
      codec: { name: "none" },
    },
  });
  const cases = SIZES.flatMap((bytes) => {
    const views = [];
    for (let at = 0; at < RING_BYTES; at += bytes) views.push(ring.subarray(at, at + bytes));
    const operations = Math.max(1, Math.min(256, views.length));
    let next = 0;
    const take = () => {
      const view = views[next];
      next = (next + 1) % views.length;
      return view;
    };
    return [
      {
        title: `await append, ${bytes} B`,
        bytes,
        operations,
        run: async () => {
          for (let i = 0; i < operations; i++) await writer.append(take());
        },
      },
      {
        title: `tryAppend or await append, ${bytes} B`,
        bytes,
        operations,
        run: async () => {
          for (let i = 0; i < operations; i++) {
            const view = take();
            const taken = writer.tryAppend(view);
            if (taken < bytes) await writer.append(view.subarray(taken));
          }
        },
      },
    ];
  });
  return { cases, close: () => writer.close() };
}
