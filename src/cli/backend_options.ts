import { Option } from "commander";
import type { WriterOptions } from "../options.js";

/** What {@link backendOption} and {@link softwareAdapterOption} parse to; every command that encodes has both. */
export interface BackendFlags {
  readonly backend: NonNullable<WriterOptions["backend"]>;
  readonly allowSoftwareAdapter?: boolean;
}

export function backendOption(): Option {
  return new Option("--backend <backend>", "what encodes; auto: a GPU where there is one, else the CPU; same bytes")
    .choices(["auto", "cpu", "gpu"])
    .default("auto");
}

export function softwareAdapterOption(): Option {
  return new Option(
    "--allow-software-adapter",
    "let --backend gpu take an adapter that is software, which is slow and for tests",
  );
}
