import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { EXIT } from "../exit.js";
import type { CommandContext } from "../io.js";

const HELP = `
Nothing is downloaded: the sources are in the package, and CMake or a C++17 compiler must be there (Debian, Ubuntu:
apt install g++). The bytes that are written are the same with and without the addon.

Exit code 1: the addon cannot be built here; the last line says why.`;

/**
 * `millrace build-addon`: what `npm run build:native` is for a checkout, for the projects that have installed the
 * package.
 */
export function buildAddonCommand({ io, finish }: CommandContext): Command {
  return new Command("build-addon")
    .description("Build the native addon of this installation, which makes encoding many times faster.")
    .option("--force", "build it also when it is up to date")
    .addHelpText("after", HELP)
    .action(async ({ force }: { readonly force?: boolean }) => {
      const script = fileURLToPath(new URL("../../../scripts/build_native.js", import.meta.url));
      const args = [script, "--require", "--verbose", ...(force ? ["--force"] : [])];
      const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
      child.stderr.setEncoding("utf8").on("data", (text: string) => void io.stderr.write(text));
      const [code] = await once(child, "close");
      finish(code === 0 ? EXIT.done : EXIT.bad);
    });
}
