/**
 * Loaded into every worker with `--import`: ends the one whose entry file a test names, as if something had killed it.
 * Tests send `{ file, how }` over the channel; `how` is "exit" or "throw". A file named in MILLRACE_TEST_KILL is ended
 * before it begins.
 */
import { BroadcastChannel, isMainThread } from "node:worker_threads";

if (!isMainThread) {
  if (process.argv[1].endsWith(process.env.MILLRACE_TEST_KILL ?? "/nothing")) process.exit(7);
  const channel = new BroadcastChannel("millrace-test-thread-killer");
  channel.onmessage = ({ data: { file, how } }) => {
    if (!process.argv[1].endsWith(file)) return;
    if (how === "exit") process.exit(7);
    // Outside the channel's own error handling.
    setImmediate(() => {
      throw new Error("injected: killed by the test");
    });
  };
  channel.unref();
}
