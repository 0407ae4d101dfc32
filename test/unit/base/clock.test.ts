import { describe, expect, it } from "vitest";
import { now, nowNs, sleep, wallMs } from "../../../src/base/clock.js";
import { FakeClock } from "../../helpers/fake_clock.js";

describe("clock", () => {
  it("goes forward, in the units it says", async () => {
    const startNs = nowNs();
    const startMs = now();
    await sleep(20);
    expect(nowNs() - startNs).toBeGreaterThan(15e6);
    expect(now() - startMs).toBeGreaterThan(15);
    expect(now() * 1e6).toBeCloseTo(nowNs(), -8);
    expect(wallMs()).toBeGreaterThan(Date.UTC(2024, 0, 1));
  });

  it("does not sleep for zero or less, and not when already aborted", async () => {
    await sleep(0);
    await sleep(-5);
    await expect(sleep(60_000, AbortSignal.abort("enough"))).rejects.toBe("enough");
  });

  it("wakes with the signal's reason", async () => {
    const abort = new AbortController();
    const sleeping = sleep(60_000, abort.signal);
    setTimeout(() => abort.abort("enough"), 5);
    await expect(sleeping).rejects.toBe("enough");
  });

  it("sleeps longer than a timer can count", async () => {
    // Node turns a timeout of 2^31 ms into 1 ms.
    const abort = new AbortController();
    const sleeping = sleep(2 ** 32, abort.signal);
    setTimeout(() => abort.abort("still asleep"), 30);
    await expect(sleeping).rejects.toBe("still asleep");
  });

  it("can be replaced, and put back", async () => {
    const clock = new FakeClock();
    const restore = clock.install();
    const awake: string[] = [];
    try {
      const both = [sleep(100).then(() => awake.push("long")), sleep(50).then(() => awake.push("short"))];
      await clock.advance(60);
      expect(awake).toEqual(["short"]);
      expect(now()).toBe(60);
      await clock.advance(40);
      expect(awake).toEqual(["short", "long"]);
      await Promise.all(both);
    } finally {
      restore();
    }
    expect(now()).not.toBe(100);
  });
});
