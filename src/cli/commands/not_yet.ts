import { Command } from "commander";
import { notYet } from "../not_yet.js";

const COMMANDS: readonly { readonly usage: string; readonly summary: string }[] = [
  { usage: "view <store>", summary: "A page that shows the store, also while it grows." },
];

/** Commands that are documented and do not exist in this version: they say so instead of "unknown command". */
export function notYetCommands(): readonly Command[] {
  return COMMANDS.map(({ usage, summary }) =>
    new Command(usage.split(" ")[0])
      .argument("<store>")
      .description(`${summary} Not in this version yet.`)
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw notYet(`millrace ${usage.split(" ")[0]}`);
      }),
  );
}
