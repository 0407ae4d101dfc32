// Costs of the small parts, one table each. Not figures to compare between machines, nor to assert on: they tell which
// part to look at. Needs `npm run build`; the rows of the addon need `npm run build:native`.
//
//   npm run bench:micro                 all groups
//   npm run bench:micro -- crc32c copy  some groups
import { availableParallelism, cpus } from "node:os";
import { Bench } from "tinybench";
import { addonStatus, loadAddon } from "../../dist/native/binding.js";
import { appendGroup } from "./append.js";
import { copyGroup } from "./copy.js";
import { crc32cGroup } from "./crc32c.js";
import { encoderGroup } from "./encoder.js";
import { gatherGroup } from "./gather.js";
import { ringGroup } from "./ring.js";

const GROUPS = {
  append: appendGroup,
  copy: copyGroup,
  crc32c: crc32cGroup,
  encoder: encoderGroup,
  gather: gatherGroup,
  ring: ringGroup,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in GROUPS));
if (unknown.length > 0) {
  process.stderr.write(`no group ${unknown.join(", ")}; there are ${Object.keys(GROUPS).join(", ")}\n`);
  process.exit(2);
}

process.stdout.write(`${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}; `);
process.stdout.write(`addon: ${addonStatus().reason}\n`);
for (const [name, group] of Object.entries(GROUPS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { cases, close } = await group(loadAddon());
  const bench = new Bench({ time: 300, warmupTime: 100 });
  for (const { title, run } of cases) bench.add(title, run);
  await bench.run();
  await close?.();
  process.stdout.write(`\n## ${name}\n| | ns per operation | GB/s | samples |\n|---|---|---|---|\n`);
  for (const [i, task] of bench.tasks.entries()) {
    const { result } = task;
    if (result.state !== "completed") throw result.error ?? new Error(`${task.name}: ${result.state}`);
    const { operations = 1, bytes } = cases[i];
    // The median: a mean would carry every pause of a shared machine.
    const ns = (result.latency.p50 * 1e6) / operations;
    const rate = bytes === undefined ? "" : (bytes / ns).toFixed(2);
    process.stdout.write(
      `| ${task.name} | ${ns.toFixed(ns < 100 ? 1 : 0)} | ${rate} | ${result.latency.samplesCount} |\n`,
    );
  }
}
