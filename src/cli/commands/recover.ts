import { Command } from "commander";
import { type RecoverProgress, type RecoverReport, recoverStore } from "../../index.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { StatusLine } from "../status_line.js";
import { addS3Flags, checksumOption, parseStore, type S3WriteFlags, STORE_HELP, sinkOf } from "../store_arg.js";
import { formatFields } from "../table.js";

interface RecoverFlags extends S3WriteFlags {
  readonly dryRun?: boolean;
  readonly discardDamaged?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

const HELP = `
In a folder it keeps every chunk-deep slab whose bytes are there; on S3 whole rows of shards.
The writer must have ended. In a folder one that still runs on this machine is refused; on S3 it would lose its uploads,
so make sure. It may be stopped at any moment, and run again. Of a group it recovers every store below it.

Exit code 0: the store is clean. 1: it is damaged, there is nothing to recover, or it is not there.

Examples:
  millrace recover run.zarr --dry-run
  millrace recover s3://bucket/run.zarr --dry-run
  millrace recover s3://bucket/run.zarr --endpoint http://localhost:9000`;

/** `millrace recover`: after a crash, publishes what is complete and removes the rest. */
export function recoverCommand({ io, finish }: CommandContext): Command {
  const command = new Command("recover")
    .description("After a crash: publish every complete row, remove what is incomplete, give up unfinished uploads.")
    .argument("<store>", STORE_HELP, parseStore)
    .option("--dry-run", "look, change nothing, and say what would be done")
    .option("--discard-damaged", "give up every row from a damaged or missing shard on, whole ones included")
    .option("--force", "for folders: although the writer's process runs, or its marker cannot be read")
    .option("--json", "print one JSON object as stdout's last line");
  return addS3Flags(command)
    .addOption(checksumOption())
    .addHelpText("after", HELP)
    .action(async (store: string, flags: RecoverFlags) => {
      const { dryRun, discardDamaged, force } = flags;
      const status = new StatusLine(io.stderr);
      let report: RecoverReport;
      try {
        const onProgress = (progress: RecoverProgress) => status.update(() => describeProgress(progress));
        report = await recoverStore(sinkOf(store, flags), { dryRun, discardDamaged, force, onProgress });
      } finally {
        status.clear();
      }
      io.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : describe(report));
      finish(report.status === "clean" || report.status === "recovered" ? EXIT.done : EXIT.bad);
    });
}

const PROGRESS: Readonly<Record<RecoverProgress["step"], string>> = {
  uploads: "unfinished uploads given up",
  list: "objects listed",
  check: "shards checked",
  seal: "shards made whole",
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

const SHORT: Readonly<Record<RecoverReport["status"], string>> = {
  clean: "clean",
  recovered: "recovered",
  "nothing-to-recover": "nothing to recover",
  damaged: "damaged",
};

function writerOf({ started, host, pid }: NonNullable<RecoverReport["writer"]>): string {
  return `started ${started}${host === undefined ? "" : ` on ${host}, process ${pid}`}`;
}

function describe(report: RecoverReport): string {
  const { location, status, dryRun, stores, arrays, uploadsAborted, objectsRemoved, notes } = report;
  const fields: [string, string][] = [];
  for (const { path, status, writer } of stores) {
    const which = path === "" ? "" : `${path}: ${SHORT[status]}, `;
    fields.push(["writer", `${which}${writer === undefined ? "unknown" : writerOf(writer)}`]);
  }
  if (stores.length > 0) {
    if (location.startsWith("s3:")) fields.push(["uploads", `${uploadsAborted} given up`]);
    fields.push(["objects", `${objectsRemoved} removed`]);
    fields.push(["memory", "rows that were still in the writer's memory are gone; they left no trace to count"]);
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
    ["rows", `${rowsBefore} published before, ${rowsAfter} after, ${rowsLost} lost of those that were stored`],
    ["shards", `${shardsKept} kept, ${shardsRemoved} removed`],
  ];
  if (damage !== undefined) fields.push(["damage", `${damage.key}: ${damage.message}`]);
  return `array ${path === "" ? "(root)" : path}\n${formatFields(fields, "  ")}`;
}
