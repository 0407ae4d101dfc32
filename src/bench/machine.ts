import { execFileSync } from "node:child_process";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

/** What a figure depends on besides the code. Nothing that names a person, a host or a folder. */
export interface MachineFacts {
  readonly cpu: string;
  /** Cores this process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly kernel: string;
  readonly node: string;
}

export function machineFacts(): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${platform()}-${arch()}`,
    kernel: release(),
    node: process.version,
  };
}

/** The commit of the checkout that this file runs from, "-dirty" when it was changed since; null outside a checkout. */
export function checkoutCommit(): string | null {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // An installed package may lie inside somebody else's checkout.
    if (git("rev-parse", "--show-prefix") !== "") return null;
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain") === "" ? "" : "-dirty");
  } catch {
    return null;
  }
}
