#!/usr/bin/env node
// Parses and links on every Node that has modules: the check comes before anything that does not.
import { existsSync } from "node:fs";

const dist = new URL("../dist/", import.meta.url);
if (existsSync(new URL("cli/main.js", dist))) {
  const { nodeTooOld } = await import(new URL("base/node_version.js", dist).href);
  const tooOld = nodeTooOld(process.versions.node);
  if (tooOld === undefined) {
    const { main } = await import(new URL("cli/main.js", dist).href);
    process.exitCode = await main(process.argv.slice(2));
  } else {
    process.stderr.write(`millrace: ${tooOld}\n`);
    process.exitCode = 2;
  }
} else {
  process.stderr.write("millrace: not built yet: run `npm run build` first\n");
  process.exitCode = 2;
}
