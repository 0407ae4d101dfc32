import { nameHint } from "../../base/nearest_name.js";
import { MillraceError } from "../../index.js";
import { aqz } from "./aqz.js";
import { cube256 } from "./cube256.js";
import { medfmt } from "./medfmt.js";
import { orca2 } from "./orca2.js";
import type { Scenario } from "./scenario.js";
import { smallepoch } from "./smallepoch.js";
import { twoStreams } from "./two_streams.js";

/** Scenarios that this version runs, in the order the help lists them. */
export const SCENARIOS: readonly Scenario[] = [orca2, cube256, smallepoch, medfmt, aqz, twoStreams];

/** Scenarios that the documentation names and this version does not run. */
export const LATER_SCENARIOS: readonly { readonly name: string; readonly needs: string }[] = [
  orca2,
  cube256,
  medfmt,
].map(({ name }) => ({ name: `${name}_multiscale`, needs: "the resolution pyramid" }));

/**
 * @throws MillraceError NOT_YET for a scenario of a later version, INVALID_OPTION for a name that is none
 */
export function findScenario(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  const names = SCENARIOS.map((scenario) => scenario.name);
  const later = LATER_SCENARIOS.find((scenario) => scenario.name === name);
  if (later !== undefined) {
    throw new MillraceError("NOT_YET", `scenario ${name} (${later.needs}) is not in this version yet.`, {
      context: { option: "scenario", name },
      hint: `This version runs ${names.join(", ")}.`,
    });
  }
  throw new MillraceError(
    "INVALID_OPTION",
    `scenario: expected one of ${names.join(", ")}, got ${JSON.stringify(name)}.`,
    {
      context: { option: "scenario", name },
      hint: nameHint(name, names),
    },
  );
}
