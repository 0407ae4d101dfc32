// `npm start`: builds what is out of date, then runs the demo. Arguments go to the demo: `npm start -- --frames 64`.
import { runNode } from "./run_node.js";

const built = await runNode(["scripts/build.js"]);
process.exitCode = built !== 0 ? built : await runNode(["bin/millrace.js", "demo", ...process.argv.slice(2)]);
