import { Command } from "commander";
import { type VerifyReport, verifyStore } from "../../index.js";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";
import { formatBytes } from "../numbers.js";
import { StatusLine } from "../status_line.js";
import { addS3Flags, parseStore, type S3Flags, STORE_HELP, targetOf } from "../store_arg.js";
import { formatFields } from "../table.js";

/** Findings printed per kind; `--json` has them all. */
const FINDINGS_SHOWN = 20;

interface VerifyFlags extends S3Flags {
  readonly json?: boolean;
}

const HELP = `
Exit code 0: nothing is wrong. 1: the store is bad, is not there, or cannot be reached.

Examples:
  millrace verify run.zarr
  millrace verify s3://bucket/run.zarr --region eu-central-1`;

/** `millrace verify`: every shard index, every checksum, every chunk decoded. */
export function verifyCommand({ io, finish }: CommandContext): Command {
  const command = new Command("verify")
    .description("Check every shard index and checksum, decode every chunk, list what is bad.")
    .argument("<store>", `${STORE_HELP}, with a Zarr v3 array or group`, parseStore)
    .option("--json", "print one JSON object as stdout's last line");
  return addS3Flags(command)
    .addHelpText("after", HELP)
    .action(async (store: string, flags: VerifyFlags) => {
      await using opened = targetOf(store, flags);
      const status = new StatusLine(io.stderr);
      let report: VerifyReport;
      try {
        report = await verifyStore(opened.target, {
          onProgress: ({ objectsChecked, chunksChecked, bytesStored }) =>
            status.update(
              () => `checked ${objectsChecked} shards, ${chunksChecked} chunks, ${formatBytes(bytesStored)}`,
            ),
        });
      } finally {
        status.clear();
      }
      io.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : describe(report));
      finish(report.ok ? EXIT.done : EXIT.bad);
    });
}

function describe(report: VerifyReport): string {
  const parts = report.arrays.map(
    (array) =>
      `${array.path === "" ? report.location : array.path}\n` +
      formatFields(
        [
          ["array", `${array.dtype}, ${array.shape.join(" × ")}, ${array.codecs}`],
          ["shards", `${array.objectsChecked}, ${formatBytes(array.bytesStored)}`],
          ["chunks", `${array.chunksChecked} decoded, ${array.chunksMissing} absent (they read as the fill value)`],
        ],
        "  ",
      ),
  );
  parts.push(
    describeFindings("bad", report.defects, report.unlisted.defects),
    describeFindings("odd", report.warnings, report.unlisted.warnings),
    describeFindings("note", report.notes, report.unlisted.notes),
    report.ok ? "ok\n" : `bad: ${report.defects.length + report.unlisted.defects} defects\n`,
  );
  return parts.join("");
}

function describeFindings(
  label: string,
  findings: readonly {
    readonly code: string;
    readonly key: string;
    readonly chunk?: number;
    readonly message: string;
  }[],
  unlisted: number,
): string {
  const lines = findings
    .slice(0, FINDINGS_SHOWN)
    .map((f) => `${label}: ${f.code} ${f.key}${f.chunk === undefined ? "" : ` chunk ${f.chunk}`}: ${f.message}\n`);
  const hidden = findings.length - lines.length + unlisted;
  if (hidden > 0) lines.push(`${label}: and ${hidden} more\n`);
  return lines.join("");
}
