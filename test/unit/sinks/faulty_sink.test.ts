import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Sink } from "../../../src/handoff/sink.js";
import { DiscardSink } from "../../../src/sinks/discard.js";
import { makeSink } from "../../../src/sinks/make_sink.js";
import { memorySink } from "../../../src/sinks/specs.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { faultySink, Gate, RecordingSink } from "../../helpers/faulty_sink.js";

/** The helpers that other tests trust must themselves be able to fail. */

const INDEX = coordinateBytes(9, 20);

async function memory() {
  const spec = memorySink();
  const sink = await makeSink(spec.kind, spec.options, spec.location);
  return { spec, sink };
}

describe("faultySink", () => {
  it("fails at the call it was told, and no other", async () => {
    const sink = faultySink(new DiscardSink(), [{ method: "write", nth: 3, action: "fail", code: "DISK_FULL" }]);
    const [a, b] = [await sink.openShard("a", { maxBytes: 1 }), await sink.openShard("b", { maxBytes: 1 })];
    await a.write([INDEX]);
    await b.write([INDEX]);
    await expect(a.write([INDEX])).rejects.toMatchObject({ code: "DISK_FULL", context: { key: "a", nth: 3 } });
    await b.write([INDEX]);
  });

  it("short: half of the bytes, then the error", async () => {
    const inner = new DiscardSink();
    const sink = faultySink(inner, [
      { method: "write", nth: 1, action: "short" },
      { method: "putObject", nth: 1, action: "short" },
    ]);
    const shard = await sink.openShard("a", { maxBytes: 1 });
    await expect(shard.write([new Uint8Array(30), new Uint8Array(70)])).rejects.toMatchObject({ code: "SINK_FAILED" });
    expect(inner.bytes).toBe(50);
    await expect(sink.putObject("x", INDEX, false)).rejects.toMatchObject({ code: "SINK_FAILED" });
    expect(inner.objects).toBe(0);
  });

  it("hold, delay and reorder change when, not what", async () => {
    const gate = new Gate();
    const { spec, sink: inner } = await memory();
    const sink = faultySink(inner, [
      { method: "write", nth: 1, action: "hold", gate: gate.memory },
      { method: "write", nth: 2, action: "delay", ms: 3 },
      { method: "seal", nth: 1, action: "reorder" },
    ]);
    await sink.open("create");
    const [a, b] = [await sink.openShard("a", { maxBytes: 1 }), await sink.openShard("b", { maxBytes: 1 })];
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    const held = a.write([INDEX]).then(note("write a"));
    await gate.arrived();
    await b.write([INDEX]).then(note("write b"));
    gate.release();
    await held;
    await Promise.all([a.seal(INDEX, false).then(note("seal a")), b.seal(INDEX, false).then(note("seal b"))]);
    expect(order).toEqual(["write b", "write a", "seal b", "seal a"]);
    await sink.close();
    for (const key of ["a", "b"]) expect(spec.files.get(key)).toEqual(new Uint8Array([...INDEX, ...INDEX]));
  });
});

describe("RecordingSink", () => {
  const breach = { code: "ORDERING_VIOLATION" };

  async function opened(inner: Sink = new DiscardSink()) {
    const sink = new RecordingSink(inner);
    await sink.open("create");
    return sink;
  }

  it("logs starts and ends in order, and finds nothing in a proper run", async () => {
    const sink = await opened((await memory()).sink);
    const shard = await sink.openShard("a", { maxBytes: 1 });
    await shard.write([INDEX, INDEX]);
    await shard.seal(INDEX, true);
    await sink.putObject("zarr.json", INDEX, true);
    await sink.close();
    expect(sink.events.map((e) => `${e.phase} ${e.method} ${e.key} ${e.bytes}`).slice(4, 8)).toEqual([
      "start write a 40",
      "end write a 40",
      "start seal a 20",
      "end seal a 20",
    ]);
    expect(sink.events.map((e) => e.sequence)).toEqual(sink.events.map((_, i) => i));
    expect(sink.violations).toEqual([]);
  });

  it.each(["end", "error"])("catches memory that changes before the write settles (%s)", async (phase) => {
    const gate = new Gate();
    const hold = faultySink(new DiscardSink(), [{ method: "write", nth: 1, action: "hold", gate: gate.memory }]);
    const fail = faultySink(hold, phase === "end" ? [] : [{ method: "write", nth: 1, action: "short" }]);
    const sink = await opened(fail);
    const shard = await sink.openShard("a", { maxBytes: 1 });
    const slot = new Uint8Array(new SharedArrayBuffer(4096)).fill(1);
    const writing = shard.write([slot]);
    await gate.arrived();
    slot[4095] = 2;
    gate.release();
    await expect(writing).rejects.toMatchObject(breach);
    expect(sink.violations).toEqual(["memory of write a changed before the call settled"]);
    expect(createHash("sha1").update(slot).digest("hex")).not.toBe("");
  });

  it("catches every other breach", async () => {
    const early = new RecordingSink(new DiscardSink());
    await expect(early.putObject("x", INDEX, false)).rejects.toMatchObject(breach);

    const gate = new Gate();
    const faults = faultySink(new DiscardSink(), [
      { method: "write", nth: 1, action: "hold", gate: gate.memory },
      { method: "write", nth: 2, action: "fail" },
    ]);
    const sink = await opened(faults);
    const a = await sink.openShard("a", { maxBytes: 1 });
    await expect(sink.openShard("a", { maxBytes: 1 })).rejects.toMatchObject(breach);
    const fresh = await opened(faults);
    const b = await fresh.openShard("b", { maxBytes: 1 });
    const held = b.write([INDEX]);
    await gate.arrived();
    await expect(b.write([INDEX])).rejects.toMatchObject(breach);
    gate.release();
    await held;

    const c = await fresh.openShard("c", { maxBytes: 1 });
    await expect(c.write([INDEX])).rejects.toMatchObject({ code: "SINK_FAILED" });
    await expect(c.seal(INDEX, false)).rejects.toMatchObject(breach);
    await expect(fresh.close()).rejects.toMatchObject(breach);
    await a.abandon(true);

    const last = await opened();
    const d = await last.openShard("d", { maxBytes: 1 });
    await d.seal(INDEX, false);
    await expect(d.write([INDEX])).rejects.toMatchObject(breach);
    await last.close();
    await expect(last.putObject("x", INDEX, false)).rejects.toMatchObject(breach);
    await expect(last.openShard("x", { maxBytes: 1 })).rejects.toMatchObject(breach);
  });
});
