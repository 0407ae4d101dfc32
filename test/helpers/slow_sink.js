import { writeFileSync } from "node:fs";

/** A sink that takes its time, and leaves a file behind when it was closed in order. */
export default function makeSlowSink({ marker }) {
  const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
  return {
    kind: "slow",
    location: "nowhere",
    async open() {},
    async openShard() {
      return { write: pause, seal: pause, async abandon() {} };
    },
    async putObject() {},
    async close() {
      writeFileSync(marker, "closed");
    },
  };
}
