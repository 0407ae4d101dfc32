/**
 * The kernels, and whole streams on a GPU, on one device: compiling the encoder's kernels takes a software device most
 * of ten seconds, and once is enough for all of them.
 */
import { holdDevice } from "../helpers/gpu.js";
import "./cross_validate.suite.js";
import "./resume.suite.js";
import "./faults.suite.js";

holdDevice();
// They know of no addon: a run without it has nothing new to say about them.
if (process.env.MILLRACE_ADDON !== "off") await import("./kernels.suite.js");
