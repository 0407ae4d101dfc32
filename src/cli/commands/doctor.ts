import os from "node:os";
import { Command } from "commander";
import { availableCodecs, type CodecAvailability } from "../../codec/available_codecs.js";
import { addonStatus } from "../../native/binding.js";
import type { CommandContext } from "../io.js";
import { formatBytes } from "../numbers.js";

/** One thing that was looked at. `fix` says what to do about it; absent when nothing needs doing. */
export interface Finding {
  readonly name: string;
  readonly state: "ok" | "slower" | "absent";
  readonly detail: string;
  readonly fix?: string;
}

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
      io.stdout.write(flags.json ? `${JSON.stringify({ findings })}\n` : describe(findings));
    });
}

async function examine(): Promise<Finding[]> {
  const codecs = await availableCodecs();
  return [
    nodeFinding(process.versions.node),
    addonFinding(),
    ...codecs.map(codecFinding),
    ...machineFindings(),
    webgpuFinding(),
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

function webgpuFinding(): Finding {
  const later = "this version has no GPU backend yet";
  try {
    import.meta.resolve("webgpu");
    return { name: "webgpu", state: "ok", detail: `package found; ${later}` };
  } catch {
    return { name: "webgpu", state: "absent", detail: `package not installed; ${later}, nothing to do` };
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
  return findings
    .map(({ name, state, detail, fix }) => {
      const line = `${state.padEnd(6)}  ${name.padEnd(width)}  ${detail}\n`;
      return fix === undefined ? line : `${line}${" ".repeat(8 + width + 2)}→ ${fix}\n`;
    })
    .join("");
}
