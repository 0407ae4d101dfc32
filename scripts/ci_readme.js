// Checks what README.md promises: the two commands a newcomer types, that every npm script it names exists, and that
// its links into the project lead somewhere. Used by .ci/run.
import { existsSync, readFileSync } from "node:fs";

const readme = readFileSync("README.md", "utf8");
const { scripts } = JSON.parse(readFileSync("package.json", "utf8"));
const wrong = [];

for (const command of ["npm ci && npm start", "npm test"]) {
  if (!readme.includes(command)) wrong.push(`it does not show \`${command}\``);
}
for (const [, name] of readme.matchAll(/npm run ([\w:-]+)/g)) {
  if (scripts[name] === undefined) wrong.push(`it names \`npm run ${name}\`, which package.json does not have`);
}
for (const [, target] of readme.matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
  if (!/^[a-z]+:/.test(target) && !existsSync(target)) wrong.push(`it links to ${target}, which is not there`);
}
for (const problem of wrong) console.error(`README.md: ${problem}`);
if (wrong.length === 0) console.log("README.md: commands, scripts and links are there");
process.exitCode = wrong.length === 0 ? 0 : 1;
