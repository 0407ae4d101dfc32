import { MeteringSink, SINK_METER_LENGTH } from "../../src/sinks/metering.js";
import { ThrottledSink } from "../../src/sinks/throttled.js";
import { faultySink } from "../helpers/faulty_sink.js";
import { fileHarness } from "../helpers/file_harness.js";
import { type SinkHarness, sinkContract } from "./sink.contract.js";

/** Sinks around others: whatever the inner one can do, they can. */
const around =
  (wrap: (inner: Awaited<ReturnType<SinkHarness["make"]>>) => ReturnType<typeof faultySink>) => async () => {
    const harness = await fileHarness(4, () => ({ maxOpenFiles: 4 }))();
    return { ...harness, make: async () => wrap(await harness.make()) };
  };

sinkContract(
  "throttled",
  around((inner) => new ThrottledSink(inner, { bytesPerSecond: Number.POSITIVE_INFINITY, latencyMs: 0 })),
);
sinkContract(
  "metering",
  around((inner) => new MeteringSink(inner, new BigInt64Array(SINK_METER_LENGTH))),
);
sinkContract(
  "the tests' own faulty one, without faults",
  around((inner) => faultySink(inner, [])),
);
