import type { SinkSpec } from "../../src/handoff/sink.js";
import { makeSink } from "../../src/sinks/make_sink.js";
import { memorySink, throttledSink } from "../../src/sinks/specs.js";
import { type SinkHarness, sinkContract } from "./sink.contract.js";

function memoryHarness(wrap: (spec: SinkSpec) => SinkSpec): () => Promise<SinkHarness> {
  return async () => {
    const memory = memorySink();
    const spec = wrap(memory);
    return {
      manyShards: 100,
      make: () => makeSink(spec.kind, spec.options, spec.location),
      read: (key) => memory.get(key),
      keys: async () => [...memory.files.keys()].sort(),
      remove: async () => {},
    };
  };
}

sinkContract(
  "memory",
  memoryHarness((spec) => spec),
);
sinkContract(
  "throttled memory",
  memoryHarness((spec) => throttledSink(spec, { bytesPerSecond: 200e6, latencyMs: 0.2 })),
);
