/**
 * A file sink whose `nth` call of `method` (open, write, seal, putObject, close; default write) stands at a gate until
 * a test opens it; see Gate in faulty_sink.ts, which costs a compiler.
 */
export default async function makeHeldFileSink({ path, method = "write", nth, gate }) {
  const { makeSink } = await import("../../dist/sinks/make_sink.js");
  const inner = await makeSink("file", {}, path);
  const words = new Int32Array(gate);
  let calls = 0;
  const pass = async (called) => {
    if (called !== method || ++calls !== nth) return;
    Atomics.add(words, 1, 1);
    while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const held =
    (called, call) =>
    async (...given) => {
      await pass(called);
      return call(...given);
    };
  return {
    // Whatever else this version's file sink can do.
    ...(inner.parallelShards === undefined ? {} : { parallelShards: inner.parallelShards }),
    ...(inner.journal === undefined ? {} : { journal: inner.journal }),
    kind: "held",
    location: path,
    open: held("open", (mode) => inner.open(mode)),
    async openShard(key, expected) {
      const shard = await inner.openShard(key, expected);
      return {
        write: held("write", (segments) => shard.write(segments)),
        seal: held("seal", (tail, durable) => shard.seal(tail, durable)),
        abandon: (keep) => shard.abandon(keep),
        ...(shard.sync === undefined ? {} : { sync: () => shard.sync() }),
      };
    },
    putObject: held("putObject", (key, bytes, durable) => inner.putObject(key, bytes, durable)),
    close: held("close", () => inner.close()),
  };
}
