import { createRequire } from "node:module";
import os from "node:os";
import { Command } from "commander";
import { availableCodecs, type CodecAvailability } from "../../codec/available_codecs.js";
import { addonStatus } from "../../native/binding.js";
import { askForAdapters } from "../adapters.js";
import type { Finding } from "../finding.js";
import type { CommandContext } from "../io.js";
import { formatBytes } from "../numbers.js";
import { webgpuFindings } from "../webgpu_findings.js";

/** Environment variables that name S3 credentials. Looked for by name; their values are never read. */
const CREDENTIAL_VARIABLES = [
  "AWS_ACCESS_KEY_ID",
  "AWS_PROFILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/** `millrace doctor`: what this machine offers, and what to install for more. */
export function doctorCommand({ io }: CommandContext): Command {
  return new Command("doctor")
    .description("Report on Node, the native addon, codecs, memory, GPU and S3; says what to install.")
    .option("--json", "print one JSON object as stdout's last line")
    .action(async (flags: { readonly json?: boolean }) => {
      const findings = await examine();
      const forPrograms = findings.map(({ more, ...finding }) => finding);
      io.stdout.write(flags.json ? `${JSON.stringify({ findings: forPrograms })}\n` : describe(findings));
    });
}

async function examine(): Promise<Finding[]> {
  const [codecs, gpu] = await Promise.all([availableCodecs(), gpuFindings()]);
  return [
    nodeFinding(process.versions.node),
    addonFinding(),
    ...codecs.map(codecFinding),
    ...machineFindings(),
    ...gpu,
    credentialsFinding(process.env),
  ];
}

/** @param version such as "20.19.0" */
export function nodeFinding(version: string): Finding {
  const [major, minor] = version.split(".").map(Number);
  const supported = major > 20 || (major === 20 && minor >= 19);
  const tested = [20, 22, 24].includes(major);
  return {
    name: "Node",
    state: supported ? "ok" : "absent",
    detail: `${version} on ${process.platform}-${process.arch}${supported && !tested ? ", not a version this is tested on" : ""}`,
    fix: supported ? undefined : "Install Node 20.19 or newer; tested are 20, 22 and 24.",
  };
}

function addonFinding(): Finding {
  const { loaded, path, reason, hint } = addonStatus();
  return loaded
    ? { name: "addon", state: "ok", detail: path ?? reason }
    : { name: "addon", state: "slower", detail: reason, fix: hint };
}

export function codecFinding(availability: CodecAvailability): Finding {
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

/** @param env names are looked at, values are not */
export function credentialsFinding(env: Readonly<Record<string, string | undefined>>): Finding {
  const found = CREDENTIAL_VARIABLES.filter((name) => env[name] !== undefined);
  const later = "this version has no S3 sink yet";
  return found.length > 0
    ? { name: "S3", state: "ok", detail: `credentials named by ${found.join(", ")}; ${later}` }
    : { name: "S3", state: "absent", detail: `no credentials in the environment; ${later}, nothing to do` };
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
