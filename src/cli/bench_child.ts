/** Entry of a child process of `millrace bench`: measures one thing. */
import { serveBenchJob } from "../bench/child.js";
import { openBenchFill } from "./bench_fills.js";

serveBenchJob(openBenchFill);
