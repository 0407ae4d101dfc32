import { readFile } from "node:fs/promises";
import ts from "typescript";

/**
 * Makes faulty and recording sinks on a worker: `moduleSink(new URL("…/faulty_sink_module.js", …), options)`.
 *
 * options.inner     { kind, options, location } of the sink below; default discard
 * options.faults    SinkFault[]; default none
 * options.record    true: the caller's side of the contract is checked
 * options.logPort   a MessagePort that receives events and violations; list it in the spec's `transfer`
 *
 * Needs the built package: what runs on a worker is the code in dist.
 */
export default async function makeFaultySink({
  inner = { kind: "discard", options: {}, location: "nowhere" },
  faults = [],
  record = false,
  logPort,
}) {
  const { makeSink } = await import("../../dist/sinks/make_sink.js");
  const { faultySink, RecordingSink } = await loadHelpers();
  const sink = faultySink(await makeSink(inner.kind, inner.options, inner.location), faults);
  return record ? new RecordingSink(sink, logPort) : sink;
}

/** faulty_sink.ts itself, compiled on the spot, so that both threads share one source. */
async function loadHelpers() {
  const source = await readFile(new URL("./faulty_sink.ts", import.meta.url), "utf8");
  const { outputText } = ts.transpileModule(source, { compilerOptions: { target: "ES2022", module: "ESNext" } });
  const dist = new URL("../../dist/", import.meta.url).href;
  const code = outputText.replaceAll('"../../src/', `"${dist}`);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}
