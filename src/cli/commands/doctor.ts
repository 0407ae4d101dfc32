import { createRequire } from "node:module";
import os from "node:os";
import { Command } from "commander";
import { nodeTooOld } from "../../base/node_version.js";
import { availableCodecs, type CodecAvailability } from "../../codec/available_codecs.js";
import { addonStatus } from "../../native/binding.js";
import { askForAdapters } from "../adapters.js";
import { EXIT } from "../exit.js";
import type { Finding } from "../finding.js";
import { Interrupts } from "../interrupt.js";
import type { CommandContext } from "../io.js";
import { formatBytes } from "../numbers.js";
import { type S3ProbeFlags, s3ClientVersion, s3Finding, tryS3 } from "../s3_findings.js";
import { addS3Flags, checksumOption, parseS3Store, refuseS3Flags } from "../store_arg.js";
import { webgpuFindings } from "../webgpu_findings.js";

interface DoctorFlags extends S3ProbeFlags {
  readonly s3?: string;
  readonly json?: boolean;
}

const HELP = `
Exit code 1: --s3 was given, and a store cannot be written and read there. Its findings come in order and end at the
first that fails. It writes a few small objects below prefix/.millrace/ and removes them.

Examples:
  millrace doctor
  millrace doctor --s3 s3://bucket/prefix --endpoint http://127.0.0.1:9000`;

/** `millrace doctor`: what this machine offers, and what to install for more; whether a place on S3 can hold stores. */
export function doctorCommand({ io, finish }: CommandContext): Command {
  const command = new Command("doctor")
    .description("Report on Node, the native addon, codecs, memory, GPU and S3; says what to install.")
    .option("--s3 <store>", "try out s3://bucket/prefix, step by step", parseS3Store)
    .option("--json", "print one JSON object as stdout's last line");
  return addS3Flags(command)
    .addOption(checksumOption())
    .addHelpText("after", HELP)
    .action(async (flags: DoctorFlags) => {
      using interrupts = flags.s3 === undefined ? undefined : new Interrupts(io.stderr, "removing what was written");
      const findings = await examine(flags, interrupts?.closing);
      const forPrograms = findings.map(({ more, ...finding }) => finding);
      io.stdout.write(flags.json ? `${JSON.stringify({ findings: forPrograms })}\n` : describe(findings));
      const failed = findings.some(({ state }) => state === "bad");
      finish(interrupts?.closing.aborted ? EXIT.interrupted : failed ? EXIT.bad : EXIT.done);
    });
}

async function examine(flags: DoctorFlags, signal: AbortSignal | undefined): Promise<Finding[]> {
  const { s3 } = flags;
  if (s3 === undefined) refuseS3Flags(flags, "it goes with --s3");
  const [codecs, gpu] = await Promise.all([availableCodecs(), gpuFindings()]);
  return [
    nodeFinding(process.versions.node),
    addonFinding(),
    ...codecs.map(codecFinding),
    ...machineFindings(),
    ...gpu,
    ...(s3 === undefined
      ? [s3Finding(s3ClientVersion(), process.env)]
      : await tryS3(s3, flags, crypto.randomUUID(), signal)),
  ];
}

/** @param version such as "20.19.0" */
function nodeFinding(version: string): Finding {
  const supported = nodeTooOld(version) === undefined;
  const tested = [20, 22, 24].includes(Number.parseInt(version, 10));
  return {
    name: "Node",
    state: supported ? "ok" : "absent",
    detail:
      `${version} on ${process.platform}-${process.arch}` +
      `${supported && !tested ? ", not a version this is tested on" : ""}`,
    fix: supported ? undefined : "Install Node 20.19 or newer; tested are 20, 22 and 24.",
  };
}

function addonFinding(): Finding {
  const { loaded, path, reason, hint, cost } = addonStatus();
  return loaded
    ? { name: "addon", state: "ok", detail: path ?? reason }
    : { name: "addon", state: "slower", detail: `${reason}: ${cost}`, fix: hint };
}

function codecFinding(availability: CodecAvailability): Finding {
  const { codec, write, read, missing } = availability;
  const detail = write === read ? `read and write: ${read}` : `write: ${write ?? "no"}; read: ${read}`;
  const because = missing.length > 0 ? ` (${missing.join("; ")})` : "";
  const wanted = codec === "zstd:LEVEL" && write === undefined;
  return {
    name: `codec ${codec}`,
    state: wanted ? "absent" : "ok",
    detail: detail + because,
    fix: wanted ? "npm install zstd-napi (it needs a C++ compiler where it has no ready-made binary)." : undefined,
  };
}

function machineFindings(): Finding[] {
  const cores = os.availableParallelism();
  // 0 or a number beyond the installed memory means that nothing limits this process.
  const limit = process.constrainedMemory();
  const limited = limit > 0 && limit < os.totalmem();
  return [
    { name: "cores", state: "ok", detail: `${cores} usable, ${os.cpus()[0]?.model.trim() ?? "unknown model"}` },
    {
      name: "memory",
      state: "ok",
      detail: `${formatBytes(os.totalmem())} installed${limited ? `, ${formatBytes(limit)} for this process` : ""}`,
    },
  ];
}

async function gpuFindings(): Promise<Finding[]> {
  const version = webgpuVersion();
  const report = version === undefined ? { adapters: [], error: null, printed: "" } : await askForAdapters();
  return webgpuFindings(version, report, process.platform);
}

/** Of the package webgpu, an optional peer; undefined where it is not installed. Does not load it. */
function webgpuVersion(): string | undefined {
  try {
    return (createRequire(import.meta.url)("webgpu/package.json") as { version: string }).version;
  } catch {
    return undefined;
  }
}

function describe(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map((f) => f.name.length));
  const indent = " ".repeat(8 + width + 2);
  return findings
    .map(({ name, state, detail, more = [], fix }) => {
      const below = [...more, ...(fix === undefined ? [] : [`→ ${fix}`])];
      return [`${state.padEnd(6)}  ${name.padEnd(width)}  ${detail}`, ...below.map((line) => indent + line), ""].join(
        "\n",
      );
    })
    .join("");
}
