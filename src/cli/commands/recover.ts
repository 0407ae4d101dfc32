import { Command } from "commander";
import { type RecoverProgress, type RecoverReport, recoverStore, s3Sink } from "../../index.js";
import { isS3Url, parseS3Url } from "../../s3/s3_options.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { StatusLine } from "../status_line.js";
import { formatFields } from "../table.js";

interface RecoverFlags {
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly checksum?: "crc32" | "none";
  readonly dryRun?: boolean;
  readonly discardDamaged?: boolean;
  readonly json?: boolean;
}

const HELP = `
The writer must have ended: one that is still at work loses its uploads and fails. Nothing locks a store, so make sure.
It may be stopped at any moment, and run again. Stores in folders come later.

Exit code 0: the store is clean. 1: it is damaged, there is nothing to recover, or it is not there.

Examples:
  millrace recover s3://bucket/run.zarr --dry-run
  millrace recover s3://bucket/run.zarr --endpoint http://localhost:9000`;

/** `millrace recover`: after a crash, publishes what is complete and removes the rest. */
export function recoverCommand({ io, finish }: CommandContext): Command {
  return new Command("recover")
    .description("After a crash: publish every complete row, remove what is incomplete, give up unfinished uploads.")
    .argument("<store>", "s3://bucket/prefix")
    .option("--endpoint <url>", "server (default: AWS_ENDPOINT_URL_S3, or AWS itself)")
    .option("--region <name>", "region of the bucket (default: AWS_REGION, or the profile's)")
    .option("--profile <name>", "profile of ~/.aws/config (default: AWS_PROFILE)")
    .option("--dry-run", "look, change nothing, and say what would be done")
    .option("--discard-damaged", "give up every row from a damaged or missing shard on, whole ones included")
    .option("--json", "print one JSON object as stdout's last line")
    .addHelpText("after", HELP)
    .action(async (store: string, { endpoint, region, profile, dryRun, discardDamaged, json }: RecoverFlags) => {
      const status = new StatusLine(io.stderr);
      let report: RecoverReport;
      try {
        const target = isS3Url(store) ? s3Sink({ ...parseS3Url(store), endpoint, region, profile }) : store;
        const onProgress = (progress: RecoverProgress) => status.update(() => describeProgress(progress));
        report = await recoverStore(target, { dryRun, discardDamaged, onProgress });
      } finally {
        status.clear();
      }
      io.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
      finish(report.status === "clean" || report.status === "recovered" ? EXIT.done : EXIT.bad);
    });
}

const PROGRESS: Readonly<Record<RecoverProgress["step"], string>> = {
  uploads: "unfinished uploads given up",
  list: "objects listed",
  check: "shards checked",
  publish: "arrays published",
  remove: "objects removed",
};

function describeProgress({ step, count }: RecoverProgress): string {
  return `${count} ${PROGRESS[step]}`;
}

const STATUS: Readonly<Record<RecoverReport["status"], string>> = {
  clean: "clean: no writer has left it open",
  recovered: "recovered",
  "nothing-to-recover": "nothing to recover: the writer ended before it published anything",
  damaged: "damaged: rows from the damage on, and the marker, are left as they are",
};

function describe(report: RecoverReport): string {
  const { location, status, dryRun, writer, arrays, uploadsAborted, objectsRemoved, notes } = report;
  const fields: [string, string][] = [];
  if (writer !== undefined) {
    fields.push(
      ["writer", `started ${writer.started}`],
      ["uploads", `${uploadsAborted} given up`],
      ["objects", `${objectsRemoved} removed`],
    );
  }
  return [
    `${location}\n`,
    formatFields([["state", `${STATUS[status]}${dryRun ? " (dry run: nothing was changed)" : ""}`], ...fields], "  "),
    ...arrays.map(describeArray),
    ...notes.map((note) => `note: ${note}\n`),
  ].join("");
}

function describeArray({
  path,
  rowsBefore,
  rowsAfter,
  rowsLost,
  shardsKept,
  shardsRemoved,
  damage,
}: RecoverReport["arrays"][number]): string {
  const fields: [string, string][] = [
    ["rows", `${rowsBefore} published before, ${rowsAfter} after, ${rowsLost} lost`],
    ["shards", `${shardsKept} kept, ${shardsRemoved} removed`],
  ];
  if (damage !== undefined) fields.push(["damage", `${damage.key}: ${damage.message}`]);
  return `array ${path === "" ? "(root)" : path}\n${formatFields(fields, "  ")}`;
}
