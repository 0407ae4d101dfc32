import { Command } from "commander";
import { type InspectReport, inspectStore } from "../../index.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { formatBytes } from "../numbers.js";
import { addS3Flags, parseStore, type S3Flags, STORE_HELP, targetOf } from "../store_arg.js";
import { formatFields } from "../table.js";

type InspectedArray = InspectReport["arrays"][number];

interface InspectFlags extends S3Flags {
  readonly json?: boolean;
}

const ATTRIBUTES_CHARS_MAX = 500;

const HELP = `
Examples:
  millrace inspect run.zarr
  millrace inspect s3://bucket/run.zarr --region eu-central-1`;

/** `millrace inspect`: geometry, codecs and sizes of every array; reads metadata and lists objects, decodes nothing. */
export function inspectCommand({ io, finish }: CommandContext): Command {
  const command = new Command("inspect")
    .description("Show geometry, codec, sizes and ratio of every array of a store.")
    .argument("<store>", `${STORE_HELP}, with a Zarr v3 array or group`, parseStore)
    .option("--json", "print one JSON object as stdout's last line");
  return addS3Flags(command)
    .addHelpText("after", HELP)
    .action(async (store: string, flags: InspectFlags) => {
      await using opened = targetOf(store, flags);
      const report = await inspectStore(opened.target);
      io.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : describe(report));
      finish(report.broken.length === 0 ? EXIT.done : EXIT.bad);
    });
}

function describe(report: InspectReport): string {
  return [
    `${report.location}\n`,
    ...report.groups.map((path) => `group ${path === "" ? "(root)" : path}\n`),
    ...report.arrays.map(describeArray),
    ...report.writers.map(describeWriter),
    ...report.broken.map(({ path, message }) => `broken ${path === "" ? "(root)" : path}: ${message}\n`),
  ].join("");
}

function describeWriter({ path, who, ended }: InspectReport["writers"][number]): string {
  const state =
    ended === false
      ? "it seems to be at work"
      : ended
        ? "it has ended: recover the store"
        : "recover the store if it has ended";
  return `writer of ${path === "" ? "(root)" : path}: ${who}, has not closed it; ${state}\n`;
}

function spacing({ scale, unit }: InspectedArray["dimensions"][number]): string {
  if (scale === undefined && unit === undefined) return "";
  return `, every ${[scale ?? 1, unit].filter((word) => word !== undefined).join(" ")}`;
}

/** One line; --json has all of it. */
function shortened(text: string): string {
  return text.length > ATTRIBUTES_CHARS_MAX ? `${text.slice(0, ATTRIBUTES_CHARS_MAX)}… (see --json)` : text;
}

function describeArray(array: InspectedArray): string {
  const codecs = array.codecs.map(({ name, configuration }) =>
    configuration === undefined ? name : `${name} ${JSON.stringify(configuration)}`,
  );
  const dimension = (d: InspectedArray["dimensions"][number], i: number): readonly [string, string] => [
    `  ${d.name ?? `dimension ${i}`}`,
    `size ${d.size}, chunk ${d.chunk}${d.shard === undefined ? ", no shards" : `, shard ${d.shard}`}${spacing(d)}`,
  ];
  const attributes = JSON.stringify(array.attributes);
  return (
    `array ${array.path === "" ? "(root)" : array.path}\n` +
    formatFields(
      [
        ["dtype", `${array.dtype}, fill value ${array.fillValue}`],
        ["dimensions", "slowest first, in elements"],
        ...array.dimensions.map(dimension),
        ["codec", codecs.length === 0 ? "none" : codecs.join(", ")],
        ["chunk", `${formatBytes(array.chunkBytes)}, ${array.chunksPerShard} in a shard`],
        ["shards", `${array.objects} of ${array.objectsExpected}`],
        ["size", `${formatBytes(array.bytesRaw)}, stored ${formatBytes(array.bytesStored)}`],
        ["ratio", array.ratio === undefined ? "–" : array.ratio.toFixed(2)],
        ["attributes", shortened(attributes)],
      ],
      "  ",
    )
  );
}
