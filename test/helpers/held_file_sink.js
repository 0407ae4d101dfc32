/** A file sink whose `nth` write stands at a gate until a test opens it; see Gate in faulty_sink.ts, which costs a compiler. */
export default async function makeHeldFileSink({ path, nth, gate }) {
  const { makeSink } = await import("../../dist/sinks/make_sink.js");
  const inner = await makeSink("file", {}, path);
  const words = new Int32Array(gate);
  let writes = 0;
  return {
    kind: "held",
    location: path,
    open: (mode) => inner.open(mode),
    async openShard(key, expected) {
      const shard = await inner.openShard(key, expected);
      return {
        async write(segments) {
          if (++writes === nth) {
            Atomics.add(words, 1, 1);
            while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          }
          await shard.write(segments);
        },
        seal: (tail, durable) => shard.seal(tail, durable),
        abandon: (keep) => shard.abandon(keep),
      };
    },
    putObject: (key, bytes, durable) => inner.putObject(key, bytes, durable),
    close: () => inner.close(),
  };
}
