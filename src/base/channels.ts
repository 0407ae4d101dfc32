/**
 * Named diagnostics channels, for tracing without touching the program:
 * `diagnostics_channel.subscribe("millrace:shard", …)`. A channel without a subscriber costs one branch. Through
 * `process`, so that browsers can load this file; there it does nothing.
 */
const diagnostics = typeof process === "object" ? process.getBuiltinModule?.("node:diagnostics_channel") : undefined;

function publisher(name: string): (message: object) => void {
  const channel = diagnostics?.channel(name);
  return (message) => {
    if (channel?.hasSubscribers) channel.publish(message);
  };
}

export const tracingChannels = {
  open: publisher("millrace:open"),
  shard: publisher("millrace:shard"),
  error: publisher("millrace:error"),
  close: publisher("millrace:close"),
};
