import { beforeEach, describe, expect, it } from "vitest";
import { DeliveryState } from "../../../src/pipeline/delivery_state.js";

let state: DeliveryState;
beforeEach(() => {
  state = new DeliveryState();
});

it("writes until it is aborted, fails or is cut off", () => {
  expect([state.writes, state.hasFailed, state.isAborted, state.isEnding]).toEqual([true, false, false, false]);
  for (const end of [
    (s: DeliveryState) => s.abort(false),
    (s: DeliveryState) => s.abort(true),
    (s: DeliveryState) => s.cutOff(),
    (s: DeliveryState) => s.fail(false),
    (s: DeliveryState) => s.fail(true),
  ]) {
    const ended = new DeliveryState();
    end(ended);
    expect(ended.writes).toBe(false);
  }
});

describe("goes forward only", () => {
  it("an abort that hurries stays one", () => {
    state.abort(false);
    expect([state.isAborted, state.isHurried]).toEqual([true, false]);
    state.abort(true);
    state.abort(false);
    expect([state.isAborted, state.isHurried]).toEqual([true, true]);
  });

  it("a failure is none the less one when an abort cuts work off behind it", () => {
    state.fail(true);
    state.cutOff();
    expect([state.hasFailed, state.isDiskFull]).toEqual([true, true]);
  });

  it("the end begins once, and a stream that was cut off ends like any other", () => {
    state.cutOff();
    expect([state.hasFailed, state.isDiskFull, state.beginEnd(), state.beginEnd()]).toEqual([true, false, true, false]);
    expect([state.isEnding, state.isStopped]).toEqual([true, false]);
    state.stop();
    expect([state.isEnding, state.isStopped, state.beginEnd()]).toEqual([true, true, false]);
  });
});
