import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { adviseCommand } from "./commands/advise.js";
import { benchCommand } from "./commands/bench.js";
import { buildAddonCommand } from "./commands/build_addon.js";
import { demoCommand } from "./commands/demo.js";
import { doctorCommand } from "./commands/doctor.js";
import { estimateCommand } from "./commands/estimate.js";
import { inspectCommand } from "./commands/inspect.js";
import { notYetCommands } from "./commands/not_yet.js";
import { recoverCommand } from "./commands/recover.js";
import { verifyCommand } from "./commands/verify.js";
import { writeCommand } from "./commands/write.js";
import { EXIT, reportError } from "./exit.js";
import { type CliIo, type CommandContext, processIo } from "./io.js";

const COMMANDS: readonly ((context: CommandContext) => Command | readonly Command[])[] = [
  writeCommand,
  demoCommand,
  verifyCommand,
  inspectCommand,
  recoverCommand,
  adviseCommand,
  estimateCommand,
  doctorCommand,
  benchCommand,
  buildAddonCommand,
  notYetCommands,
];

/**
 * Runs one command line.
 * @param argv the arguments behind `millrace`
 * @returns the exit code: 0 done, 1 the data or store is bad, 2 wrong usage, 130 interrupted
 */
export async function main(argv: readonly string[], io: CliIo = processIo()): Promise<number> {
  // The AWS SDK tells its developers on stderr, once a thread, until when it supports this Node.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  let exitCode: number = EXIT.done;
  const program = buildProgram({ io, finish: (code) => (exitCode = code) });
  if (argv.length === 0) {
    io.stderr.write(program.helpInformation());
    return EXIT.usage;
  }
  try {
    await program.parseAsync(argv, { from: "user" });
    return exitCode;
  } catch (error) {
    // Help and version arrive as errors of exit code 0; they have been printed already.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    return reportError(error, io, argv.includes("--json"));
  }
}

function buildProgram(context: CommandContext): Command {
  const program = new Command("millrace")
    .description("Stream n-d arrays to sharded, compressed Zarr v3.")
    .version(packageVersion(), "-V, --version")
    .showHelpAfterError(false)
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 the data or the store is bad, 2 wrong usage, 130 stopped by Ctrl-C.",
    );
  for (const make of COMMANDS) {
    for (const command of [make(context)].flat()) program.addCommand(command);
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void context.io.stdout.write(text),
      // Errors are printed once, by reportError.
      writeErr: () => {},
    });
  }
  return program;
}

function packageVersion(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}
