import type { CodecSpec } from "../../codec/codec.js";
import { codecProvider } from "../../codec/open_encoder.js";
import { describeGeometry } from "../../geometry/array_geometry.js";
import { loadAddon } from "../../native/binding.js";
import type { Fill } from "../fill.js";
import { gatherSample } from "../gather_sample.js";
import type { BenchSettings, CeilingRun } from "../job.js";
import { prefillRing } from "../source.js";
import { runThreads } from "./threads.js";

/** Chunks encoded round and round, together: more than caches hold. */
const SAMPLE_BYTES = 64 * 2 ** 20;

export interface EncodeThreadData {
  readonly codec: CodecSpec;
  readonly itemBytes: number;
  /** Chunks end to end, and the words that hand them out: all threads take from one list. */
  readonly chunks: Uint8Array;
  readonly chunkBytes: number;
  readonly cursor: Int32Array;
}

/**
 * The bare encoder on all cores: chunks of the same input, gathered before the clock starts, encoded in parallel with
 * nothing around it. The same code, called chunk by chunk.
 */
export async function measureEncode(
  settings: BenchSettings,
  codec: CodecSpec,
  fill: Fill,
  threads: number,
  seconds: number,
): Promise<CeilingRun> {
  const g = describeGeometry("uint16", settings.dimensions);
  const provider = await codecProvider(codec, loadAddon());
  const chunks = gatherSample(g, prefillRing({ fill, rowBytes: g.rowBytes, epochRows: g.epochRows }), SAMPLE_BYTES);
  const cursor = new Int32Array(new SharedArrayBuffer(4));
  const data: EncodeThreadData = { codec, itemBytes: g.itemBytes, chunks, chunkBytes: g.chunkBytes, cursor };
  const { outBytes, ...measured } = await runThreads(
    new URL("./encode_thread.js", import.meta.url),
    Array.from({ length: threads }, () => data),
    seconds,
  );
  const ratio = (measured.bytes / outBytes).toFixed(2);
  return { kind: "encode", what: `bare ${provider} × ${threads}, ratio ${ratio}`, threads, ...measured };
}
