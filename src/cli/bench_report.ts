import type { BenchResult } from "../bench/compare.js";
import type { Spread } from "../bench/statistics.js";
import { formatCodec } from "./codec_arg.js";
import { formatBytes, formatNs } from "./numbers.js";
import { formatFields } from "./table.js";

/**
 * A result for people: the figure with its ceilings, then where time and memory went. Stage figures are of the last
 * round.
 */
export function describeBench(result: BenchResult): string {
  const { settings, rounds, machine } = result;
  const last = rounds[rounds.length - 1].writer;
  const { memory, appendNs } = last;
  const fields: [string, string][] = [
    [
      "scenario",
      `${settings.scenario}${settings.streams > 1 ? ` (${settings.streams} streams)` : ""}, ` +
        `codec ${formatCodec(settings.codec)}, sink ${settings.sink.kind}, fill ${settings.fill.name}`,
    ],
    [
      "writer",
      `${gb(result.gbPerSecond)} in ${rounds.length} rounds of ${last.seconds.toFixed(2)} s, ${last.batches} batches`,
    ],
    ...result.ceilings.map(({ what, gbPerSecond, writerOverCeiling, writerOverCeilingPerCpu }): [string, string] => [
      "ceiling",
      `${gb(gbPerSecond)}: ${what}; writer at ${percent(writerOverCeiling)}, ` +
        `per CPU second ${percent(writerOverCeilingPerCpu)}`,
    ]),
    ["ratio", `${result.ratio.toFixed(2)} (${result.codecProvider})`],
    [
      "memory",
      `peak ${formatBytes(memory.peakBytes)} − ${formatBytes(memory.baselineBytes)} before opening = ` +
        `${memory.peakOverEstimate.toFixed(2)} × the estimate of ${formatBytes(memory.estimateBytes)}`,
    ],
    [
      "append",
      `${formatBytes(settings.appendBytes)}: p50 ${formatNs(appendNs.p50)}, p99 ${formatNs(appendNs.p99)}, ` +
        `p99.9 ${formatNs(appendNs.p999)}, max ${formatNs(appendNs.max)}`,
    ],
    ...last.stages
      .filter((stage) => stage.count > 0)
      .map((stage): [string, string] => [
        stage.name,
        `${formatNs(stage.busyNs)} by ${stage.owner}, ${stage.count} ×${stage.name === "copy" ? " (sampled)" : ""}`,
      ]),
    ...last.waits.map((wait): [string, string] => ["wait", `${wait.rule} ${formatNs(wait.ns)}, ${wait.count} ×`]),
    [
      "backend",
      `${last.backend} (${last.adapter}), chunks cpu ${last.chunksByRoute.cpu}, gpu ${last.chunksByRoute.gpu}`,
    ],
    ["addon", result.addon.reason],
    ["machine", `${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)}, Node ${machine.node}`],
    ["commit", result.commit ?? "not a checkout"],
  ];
  return formatFields(fields);
}

function gb({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} GB/s (${min.toFixed(2)} – ${max.toFixed(2)})`;
}

function percent({ median, min, max }: Spread): string {
  const p = (value: number): string => (100 * value).toFixed(0);
  return `${p(median)} % (${p(min)} – ${p(max)})`;
}
