import { spawnSync } from "node:child_process";
import { wallMs } from "../base/clock.js";
import { resolveCodec } from "../codec/codec.js";
import { codecProvider } from "../codec/open_encoder.js";
import { addonStatus, loadAddon } from "../native/binding.js";
import type { RunJob } from "./child.js";
import type { BenchSettings, CeilingKind, CeilingRun } from "./job.js";
import { checkoutCommit, type MachineFacts, machineFacts } from "./machine.js";
import { ratios, type Spread, spread } from "./statistics.js";
import type { WriterRun } from "./writer_run.js";

/** Changes when a field of the result changes meaning. */
const RESULT_SCHEMA = 1;

/** The writer against one ceiling, over all rounds. */
interface CeilingComparison {
  readonly kind: CeilingKind;
  readonly what: string;
  readonly gbPerSecond: Spread;
  /** Writer over ceiling, of the same round each. */
  readonly writerOverCeiling: Spread;
  /** The same per second of processor time: what counts on a machine that does other things as well. */
  readonly writerOverCeilingPerCpu: Spread;
}

export interface BenchResult {
  readonly schema: typeof RESULT_SCHEMA;
  /** Milliseconds since 1970, UTC. */
  readonly dateMs: number;
  readonly commit: string | null;
  readonly machine: MachineFacts;
  readonly addon: { readonly loaded: boolean; readonly reason: string };
  /** Who encodes: library and version. */
  readonly codecProvider: string;
  readonly settings: BenchSettings;
  /** GB/s of input, 10^9 bytes. */
  readonly gbPerSecond: Spread;
  /** Raw over stored bytes, of the last round. */
  readonly ratio: number;
  readonly ceilings: readonly CeilingComparison[];
  readonly peakMemoryOverEstimate: Spread;
  readonly rounds: readonly { readonly writer: WriterRun; readonly ceilings: readonly CeilingRun[] }[];
}

interface CompareOptions {
  readonly settings: BenchSettings;
  readonly rounds: number;
  readonly withCeilings: boolean;
  /** Threads of the copy ceiling: what the pipeline uses, as far as there are cores. */
  readonly copyThreads: number;
  readonly runJob: RunJob;
  /** Told before each measurement. */
  readonly onStep: (round: number, what: string) => void;
}

/**
 * Measures writer and ceilings in turns, `rounds` times: whatever else the machine does hits both. Rejects with the
 * first error; one round without enough coverage fails the whole, so that no figure rests on fewer rounds than it says.
 */
export async function compare(options: CompareOptions): Promise<BenchResult> {
  const { settings, runJob, onStep } = options;
  const ceilingSeconds = Math.min(settings.seconds, 2);
  const rounds: { writer: WriterRun; ceilings: CeilingRun[] }[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const ceilings: CeilingRun[] = [];
    const take = async (kind: CeilingKind, measure: () => Promise<CeilingRun>): Promise<void> => {
      if (!options.withCeilings) return;
      onStep(round, `ceiling: ${kind}`);
      ceilings.push(await measure());
    };
    await take("copy", () => runJob({ kind: "copy", threads: options.copyThreads, seconds: ceilingSeconds }));
    const { cores } = machineFacts();
    if (settings.codec.name !== "none") {
      await take("encode", () => runJob({ kind: "encode", settings, threads: cores, seconds: ceilingSeconds }));
    }
    const { sink } = settings;
    if (sink.kind === "file") settleDisk(sink.folder);
    onStep(round, "writer");
    const writer = await runJob({ kind: "writer", settings });
    // After the writer: they write the same volume, and only then is that known. In input bytes, as every other figure:
    // what the disk or the server takes times what the codec saves.
    const fold = writer.bytesIn / writer.bytesStored;
    const inInputBytes = (run: CeilingRun): CeilingRun => ({
      ...run,
      gbPerSecond: run.gbPerSecond * fold,
      gbPerCpuSecond: run.gbPerCpuSecond * fold,
    });
    if (sink.kind === "file") {
      const durable = settings.durability !== "none";
      await take("disk", async () => {
        settleDisk(sink.folder);
        return inInputBytes(await runJob({ kind: "disk", folder: sink.folder, bytes: writer.bytesStored, durable }));
      });
    } else if (sink.kind === "s3") {
      const { place, partBytes, concurrency } = sink;
      const objects = Math.max(1, writer.stages.find(({ name }) => name === "seal")?.count ?? 1);
      const upload = { place, partBytes, concurrency, bytes: writer.bytesStored, objects };
      await take("s3", async () => inInputBytes(await runJob({ kind: "s3", upload })));
    }
    rounds.push({ writer, ceilings });
  }
  return summarize(settings, rounds, await codecProvider(resolveCodec(settings.codec), loadAddon()));
}

/** Waits until the disk has what was written before, so that no measurement pays for the one before it. */
function settleDisk(folder: string): void {
  // Where there is no such program, both sides of the comparison lack it alike.
  spawnSync("sync", ["-f", folder], { stdio: "ignore" });
}

function summarize(settings: BenchSettings, rounds: BenchResult["rounds"], provider: string): BenchResult {
  const rates = rounds.map(({ writer }) => writer.gbPerSecond);
  const last = rounds[rounds.length - 1].writer;
  const { loaded, reason } = addonStatus();
  return {
    schema: RESULT_SCHEMA,
    dateMs: wallMs(),
    commit: checkoutCommit(),
    machine: machineFacts(),
    addon: { loaded, reason },
    codecProvider: provider,
    settings,
    gbPerSecond: spread(rates),
    ratio: last.bytesIn / last.bytesStored,
    ceilings: rounds[0].ceilings.map(({ kind, what }, i) => {
      const ceiling = rounds.map(({ ceilings }) => ceilings[i].gbPerSecond);
      return {
        kind,
        what,
        gbPerSecond: spread(ceiling),
        writerOverCeiling: ratios(rates, ceiling),
        writerOverCeilingPerCpu: ratios(
          rounds.map(({ writer }) => writer.gbPerCpuSecond),
          rounds.map(({ ceilings }) => ceilings[i].gbPerCpuSecond),
        ),
      };
    }),
    peakMemoryOverEstimate: spread(rounds.map(({ writer }) => writer.memory.peakOverEstimate)),
    rounds,
  };
}
