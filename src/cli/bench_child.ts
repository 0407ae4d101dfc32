/** Entry of a child process of `millrace bench`: measures one thing. */
import { serveBenchJob } from "../bench/child.js";
import { openBenchFill } from "./bench_fills.js";
import { logStalls } from "./stall_log.js";

serveBenchJob(openBenchFill, (writers) => logStalls(writers, process.stderr));
