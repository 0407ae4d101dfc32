import { Command, Option } from "commander";
import { type VerifyFinding, type VerifyProgress, type VerifyReport, verifyStore } from "../../index.js";
import { EXIT } from "../exit.js";
import { Interrupts } from "../interrupt.js";
import type { CommandContext } from "../io.js";
import { formatBytes, parseBytes, parseCount, parsePositive } from "../numbers.js";
import { PROGRESS_MODES, type ProgressMode } from "../progress.js";
import { addS3Flags, parseStore, type S3Flags, STORE_HELP, targetOf } from "../store_arg.js";
import { formatFields } from "../table.js";
import { VerifyProgressLines } from "../verify_progress.js";

/** Findings printed of each severity; `--json` has them all. */
const FINDINGS_SHOWN = 20;

interface VerifyFlags extends S3Flags {
  readonly json?: boolean;
  readonly progress: ProgressMode;
  readonly findings: number;
  readonly threads?: number;
  readonly concurrency?: number;
  readonly memory?: number;
}

const HELP = `
Exit code 0: nothing is wrong; warnings and notes are no defects. 1: the store is bad, is not there, or cannot be
reached. 130: stopped by Ctrl-C; what was found until then is printed.

Examples:
  millrace verify run.zarr
  millrace verify run.zarr --json --progress json
  millrace verify s3://bucket/run.zarr --region eu-central-1 --concurrency 16`;

/** `millrace verify`: every shard index, every checksum, every chunk decoded. */
export function verifyCommand({ io, finish }: CommandContext): Command {
  const command = new Command("verify")
    .description("Check metadata, every shard index and checksum, decode every chunk, list what is bad.")
    .argument("<store>", `${STORE_HELP}, with a Zarr v3 array or group`, parseStore)
    .option("--findings <n>", "lines printed of each kind of finding", parsePositive, FINDINGS_SHOWN)
    .option(
      "--threads <n>",
      "threads that decode, 0: none but the main one (default: one a core, at most 16)",
      parseCount,
    )
    .option("--concurrency <n>", "reads and decodes at once (default: 8)", parsePositive)
    .option("--memory <bytes>", "what indexes and chunks may take, from 1MiB (default: 1GiB)", parseBytes)
    .addOption(
      new Option(
        "--progress <mode>",
        "on stderr: a line on a terminal or now and then, one JSON line a second, nothing",
      )
        .choices(PROGRESS_MODES)
        .default("auto"),
    )
    .option("--json", "print one JSON object as stdout's last line");
  return addS3Flags(command)
    .addHelpText("after", HELP)
    .action(async (store: string, flags: VerifyFlags) => {
      const { endpoint, region, profile } = flags;
      await using opened = targetOf(store, { endpoint, region, profile });
      using interrupts = new Interrupts(io.stderr, "stopping; Ctrl-C again to end at once");
      const signal = AbortSignal.any([interrupts.closing, interrupts.aborting]);
      const found: VerifyFinding[] = [];
      let last: VerifyProgress | undefined;
      try {
        using progress = new VerifyProgressLines(flags.progress, io.stderr);
        const report = await verifyStore(opened.target, {
          signal,
          threads: flags.threads,
          concurrency: flags.concurrency,
          memoryBytes: flags.memory,
          onProgress: (now) => {
            last = now;
            progress.update(now);
          },
          onFinding: (finding) => {
            found.push(finding);
            if (finding.severity === "defect") progress.sawDefect();
          },
        });
        progress[Symbol.dispose]();
        io.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : describe(report, flags.findings));
        finish(report.ok ? EXIT.done : EXIT.bad);
      } catch (error) {
        if (!signal.aborted) throw error;
        const partial = partialReport(store, found, last);
        io.stdout.write(flags.json ? `${JSON.stringify(partial)}\n` : describePartial(partial, flags.findings));
        finish(EXIT.interrupted);
      }
    });
}

/** What a check that was stopped had seen by then. */
function partialReport(location: string, found: readonly VerifyFinding[], last: VerifyProgress | undefined) {
  const of = (severity: VerifyFinding["severity"]) => found.filter((finding) => finding.severity === severity);
  const { objectsChecked = 0, chunksChecked = 0, bytesStored = 0 } = last ?? {};
  return {
    ok: false,
    interrupted: true,
    location,
    objectsChecked,
    chunksChecked,
    bytesStored,
    defects: of("defect"),
    warnings: of("warning"),
    notes: of("note"),
  };
}

function describePartial(partial: ReturnType<typeof partialReport>, shown: number): string {
  const { defects, warnings, notes, objectsChecked, bytesStored } = partial;
  const findings = describeFindings({ defects, warnings, notes }, { defects: 0, warnings: 0, notes: 0 }, shown);
  return `${findings}stopped after ${objectsChecked} shards, ${formatBytes(bytesStored)}: the rest was not checked\n`;
}

function describe(report: VerifyReport, shown: number): string {
  const parts = report.arrays.map(
    (array) =>
      `${array.path === "" ? report.location : array.path}\n` +
      formatFields(
        [
          ["array", `${array.dtype}, ${array.shape.join(" × ")}, ${array.codecs}`],
          ["shards", `${array.objectsChecked}, ${formatBytes(array.bytesStored)}; ${array.objectsMissing} absent`],
          ["chunks", `${array.chunksChecked} decoded, ${array.chunksMissing} absent (they read as the fill value)`],
        ],
        "  ",
      ),
  );
  const defects = report.defects.length + report.unlisted.defects;
  parts.push(
    describeFindings(report, report.unlisted, shown),
    report.ok ? "ok\n" : `bad: ${defects} ${defects === 1 ? "defect" : "defects"}\n`,
  );
  return parts.join("");
}

function describeFindings(
  { defects, warnings, notes }: Record<"defects" | "warnings" | "notes", readonly VerifyFinding[]>,
  unlisted: VerifyReport["unlisted"],
  shown: number,
): string {
  const list = (label: string, findings: readonly VerifyFinding[], more: number): string => {
    const lines = findings.slice(0, shown).map((finding) => `${label}: ${describeFinding(finding)}\n`);
    const hidden = findings.length - lines.length + more;
    if (hidden > 0) lines.push(`${label}: and ${hidden} more\n`);
    return lines.join("");
  };
  return (
    list("bad", defects, unlisted.defects) +
    list("odd", warnings, unlisted.warnings) +
    list("note", notes, unlisted.notes)
  );
}

/** "CHUNK_DECODE c/0/1 chunk [3, 0] at bytes 120 to 180: codec zstd: …" */
function describeFinding({ code, key, chunk, coordinates, offset, length, message }: VerifyFinding): string {
  const which = chunk === undefined || coordinates === undefined ? "" : ` chunk [${coordinates.join(", ")}]`;
  const where = offset === undefined || length === undefined ? "" : ` at bytes ${offset} to ${offset + length}`;
  return printable(`${code} ${key}${which}${where}: ${message}`);
}

/** Names in a store may hold anything, also what moves a terminal's cursor. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "�");
}
