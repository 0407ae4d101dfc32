/**
 * Entry of a child process of `millrace doctor`: finds out what WebGPU there is. A process of its own, because drivers
 * are looked at that doctor is run to find fault with: one that crashes ends the child and not the report.
 */
import { isMillraceError } from "../base/errors.js";
import { type SurveyedAdapter, surveyAdapters } from "../gpu/adapter_survey.js";
import { nodeGpu } from "../gpu/node_gpu.js";

export interface AdaptersAnswer {
  readonly adapters: readonly SurveyedAdapter[];
  /** Why the package webgpu does not load, where it is installed and does not; null otherwise. */
  readonly error: string | null;
}

const answer: AdaptersAnswer = await surveyAdapters(nodeGpu).then(
  (adapters) => ({ adapters, error: null }),
  (error: unknown) => {
    if (isMillraceError(error)) return { adapters: [], error: error.message };
    throw error;
  },
);
process.send?.(answer, () => process.disconnect());
