import { channel } from "node:diagnostics_channel";

/**
 * Named diagnostics channels, for tracing without touching the program: `diagnostics_channel.subscribe("millrace:shard", …)`.
 * A channel without a subscriber costs one branch.
 */
const channels = {
  open: channel("millrace:open"),
  shard: channel("millrace:shard"),
  error: channel("millrace:error"),
  close: channel("millrace:close"),
};

function publisher(name: keyof typeof channels): (message: object) => void {
  const target = channels[name];
  return (message) => {
    if (target.hasSubscribers) target.publish(message);
  };
}

export const tracingChannels = {
  open: publisher("open"),
  shard: publisher("shard"),
  error: publisher("error"),
  close: publisher("close"),
};
