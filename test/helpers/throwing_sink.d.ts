import type { Sink } from "../../src/handoff/sink.js";

export default function makeThrowingSink(options: {
  readonly where: string;
  readonly what?: string;
  readonly late?: boolean;
}): Sink;
