import { isMillraceError, MillraceError } from "../../src/base/errors.js";
import { Counters } from "../../src/metrics/counters.js";
import type { NativeAddon } from "../../src/native/addon.js";
import type { Watermarks } from "../../src/options.js";
import { runEngine } from "../../src/pipeline/engine.js";
import { leaveWithProducer } from "../../src/pipeline/leave_with_producer.js";
import type { Port } from "../../src/pipeline/port.js";
import { runDelivery } from "../../src/pipeline/run_delivery.js";
import type { StreamMemory } from "../../src/pipeline/stream_memory.js";
import type { StreamThreads, StreamThreadsInit } from "../../src/pipeline/stream_threads.js";
import { ArrayWriter } from "../../src/writer/array_writer.js";
import type { Platform } from "../../src/writer/platform.js";
import { type Call, type Configuration, MACHINE, optionsOf, planOf } from "./configuration.js";
import { Content, concat, keyOf, sameBytes } from "./content.js";
import { type Choice, Control, type ThreadName } from "./control.js";
import { ControlledBackend } from "./controlled_backend.js";
import { ControlledSink } from "./controlled_sink.js";
import { putUp } from "./environment.js";
import { settled, type World } from "./explorer.js";

type Outcome = "waits" | "done" | (string & {});

interface Issued {
  readonly lane: number;
  readonly name: string;
  outcome: Outcome;
}

interface Lane {
  readonly calls: readonly Call[];
  next: number;
  /** The call that the next one waits for. */
  awaited: Issued | undefined;
  reserved: Uint8Array | undefined;
  /** Bytes that tryAppend has left. */
  left: Uint8Array | undefined;
  /** What the producer had been through when this lane found no room: nothing to do before it has been through more. */
  noRoomAt: number;
}

/** A writer with its real classes, over ports, a backend and a sink under control. */
export class StreamWorld implements World {
  readonly control = new Control();
  readonly content: Content;
  readonly #c: Configuration;
  readonly #sink: ControlledSink;
  #backend!: ControlledBackend;
  #memory!: StreamMemory;
  #counters!: Counters;
  #writer: ArrayWriter | undefined;
  #opened: Outcome = "waits";
  readonly #lanes: Lane[];
  readonly #issued: Issued[] = [];
  readonly #ended = new Map<ThreadName, () => void>();
  readonly #finished = new Set<ThreadName>();
  #onLost!: (error: MillraceError) => void;
  #faultsLeft: number;
  #lastMarks: Watermarks | undefined;
  /** What listeners were told. */
  readonly #errors: string[] = [];
  #appendedRows = 0;
  #released = 0;
  #leaving = false;
  #left = false;
  #takeDown: () => void = () => {};

  static async make(c: Configuration): Promise<StreamWorld> {
    const world = new StreamWorld(c);
    world.#takeDown = putUp(world.control, c);
    const { checked, plan } = planOf(c);
    ArrayWriter.start(world.#platform(), checked, optionsOf(c, world.#sink), plan, undefined).then(
      (writer) => {
        world.#writer = writer;
        writer.on("error", (error) => world.#errors.push(codeOf(error)));
        world.#opened = "done";
      },
      (error) => {
        world.#opened = codeOf(error);
      },
    );
    await settled();
    while (!c.opening && world.#opened === "waits") {
      const choices = world.control.choices();
      await world.#take(choices[0]);
    }
    return world;
  }

  private constructor(c: Configuration) {
    this.#c = c;
    const skipped: boolean[] = [];
    for (const call of c.lanes.flat()) {
      if ("rows" in call) skipped.push(...new Array<boolean>(call.rows).fill(call.call === "skip"));
    }
    this.content = new Content(c, skipped);
    this.#sink = new ControlledSink(this.content, this.control, c.durability !== undefined);
    this.#faultsLeft = c.faults === undefined ? 0 : (c.faultsMax ?? 1);
    this.#lanes = c.lanes.map((calls) => ({
      calls,
      next: 0,
      awaited: undefined,
      reserved: undefined,
      left: undefined,
      noRoomAt: -1,
    }));
  }

  enabled(): readonly string[] {
    return this.#choices().map(({ name }) => name);
  }

  async apply(name: string): Promise<void> {
    const choice = this.#choices().find((candidate) => candidate.name === name);
    if (choice === undefined) throw new Error(`"${name}" cannot happen here, only ${this.enabled().join(", ")}`);
    await this.#take(choice);
  }

  problem(): string | undefined {
    return this.control.problems[0] ?? this.#marksProblem() ?? this.#callsProblem();
  }

  endProblem(): string | undefined {
    if (this.#leaving) {
      return this.#left ? undefined : "the process never leaves";
    }
    const waits = this.#issued.find(({ outcome }) => outcome === "waits");
    if (waits !== undefined) return `${waits.name} never settles`;
    if (this.#opened === "waits") return "opening never settles";
    const stuck = this.#lanes.findIndex(({ calls, next }) => next < calls.length);
    if (stuck >= 0 && this.#opened === "done")
      return `call ${this.#lanes[stuck].next} of lane ${stuck} never finds room`;
    return this.#endOfStreamProblem();
  }

  key(): string {
    const { control } = this;
    const lanes = this.#lanes.map(({ next, noRoomAt, left, reserved }) => {
      const noRoom = noRoomAt === control.histories.producer.length;
      return `${next},${noRoom},${left?.byteLength},${reserved?.byteLength}`;
    });
    const calls = this.#issued.map(({ name, outcome }) => `${name}=${outcome}`).sort();
    const slots = [...this.#memory.staging, ...this.#memory.output].join("|");
    const own = [
      lanes.join(" "),
      calls.join(","),
      this.#errors.join(","),
      `${this.#opened},${this.#faultsLeft},${this.#released},${this.#leaving},${[...this.#finished]}`,
      slots,
      this.#sharedWords(),
      [...this.#sink.files.keys()].sort().join(","),
    ];
    const order = this.#c.exactKeys ? Object.values(control.histories).map((history) => history.join(";")) : [];
    return [...own, control.key(), ...order].join("\n");
  }

  dispose(): void {
    this.#takeDown();
  }

  // ----------------------------------------------------------------------------------------------------------------
  // what can happen

  #choices(): Choice[] {
    if (this.#left) return [];
    const found: Choice[] = [];
    if (!this.#leaving)
      this.#lanes.forEach((lane, i) => {
        found.push(...this.#laneChoices(lane, i));
      });
    found.push(...this.control.choices(), ...this.#exitChoices());
    const possible = this.#leaving ? found.filter(({ thread }) => thread !== "producer") : found;
    const silent = possible.find((choice) => choice.silent);
    if (silent !== undefined) return [silent];
    // A fault needs something that it can hit: where nothing goes on any more, none of them is to be found.
    return possible.length === 0 ? [] : [...possible, ...this.#faultChoices()];
  }

  #laneChoices(lane: Lane, i: number): Choice[] {
    const call = lane.calls[lane.next];
    if (call === undefined || this.#writer === undefined || lane.awaited?.outcome === "waits") return [];
    if (lane.noRoomAt === this.control.histories.producer.length) return [];
    const name = `lane ${i}: ${call.call} (${lane.next})`;
    return [{ name, thread: "producer", run: () => this.#make(call, lane, i, name) }];
  }

  #exitChoices(): Choice[] {
    const found: Choice[] = [];
    for (const [thread, ended] of this.#ended) {
      if (this.#finished.has(thread)) continue;
      if (!this.control.dead.has(thread) && !this.control.isIdle(thread)) continue;
      found.push({
        name: `${thread} ends`,
        thread: "producer",
        run: () => {
          this.#finished.add(thread);
          // As start_workers does: whether it was asked to is for the writer to know.
          this.#onLost(new MillraceError("THREAD_FAILED", `the ${thread} thread ended early.`));
          ended();
        },
      });
    }
    return found;
  }

  #faultChoices(): Choice[] {
    if (this.#faultsLeft === 0) return [];
    const { control } = this;
    const found: Choice[] = [];
    for (const fault of this.#c.faults ?? []) {
      if (fault === "sink" || fault === "backend") {
        const ofBackend = (name: string): boolean => /^(kick|backend)/.test(name);
        found.push(...control.failures((name) => ofBackend(name) === (fault === "backend")));
        continue;
      }
      const thread: ThreadName = fault === "engine lost" ? "engine" : "delivery";
      if (control.dead.has(thread) || this.#finished.has(thread)) continue;
      found.push({ name: fault, thread, run: () => control.kill(thread) });
    }
    return found.map((choice) => ({
      ...choice,
      run: () => {
        this.#faultsLeft--;
        choice.run();
      },
    }));
  }

  async #take(choice: Choice): Promise<void> {
    const stops = choice.name.startsWith("delivery gets abort") && this.control.pendingOf("delivery") === 0;
    if (stops) this.#sink.mayWrite = false;
    const hadFailed = this.#counters !== undefined && this.#counters.get("failed") > 0;
    const accepted = this.#writer?.watermarks.accepted;
    await this.control.take(choice, this.#c.exactKeys ? this.#readsOf(choice.thread) : "");
    // A commit takes memory that was reserved before.
    if (hadFailed && this.#writer?.watermarks.accepted !== accepted && !choice.name.includes("commit")) {
      this.control.problems.push(`rows were accepted after a failure, at "${choice.name}"`);
    }
    if (this.#leaving && !this.#left) this.#tryToLeave();
  }

  /** Memory that other threads write and this one looks at without having been told. */
  #readsOf(thread: ThreadName): string {
    const whole = this.#c.maxBatchAgeMs === undefined ? "" : new Int32Array(this.#memory.wholeEpochs);
    if (thread === "producer") {
      const slots = this.#ringStates(this.#memory.stagingControl, this.#memory.staging.length);
      return `${slots} ${this.#counters.get("failed")} ${whole}`;
    }
    if (thread !== "engine") return "";
    const pending = this.#c.maxPendingBytes === undefined ? "" : this.#counters.get("sinkPendingBytes");
    return `${this.#counters.get("failed")} ${pending} ${whole}`;
  }

  #make(call: Call, lane: Lane, i: number, name: string): void {
    const writer = this.#writer as ArrayWriter;
    const again = (): void => {
      lane.noRoomAt = this.control.histories.producer.length;
    };
    switch (call.call) {
      case "append": {
        const data = this.#nextRows(call.rows);
        // The caller may reuse its buffer at once.
        this.#issue(
          lane,
          i,
          name,
          writer.append(data).finally(() => data.fill(0xbb)),
          call.await,
        );
        break;
      }
      case "tryAppend": {
        lane.left ??= this.#nextRows(call.rows);
        try {
          const accepted = writer.tryAppend(lane.left);
          lane.left = lane.left.subarray(accepted);
        } catch (error) {
          lane.left = undefined;
          this.#issue(lane, i, name, Promise.reject(error), true);
          break;
        }
        if (lane.left.byteLength > 0) {
          again();
          break;
        }
        lane.left = undefined;
        lane.next++;
        break;
      }
      case "reserve": {
        try {
          lane.reserved = writer.reserve(call.rows * this.content.shape.shardsPerRow) ?? undefined;
        } catch (error) {
          this.#issue(lane, i, name, Promise.reject(error), true);
          break;
        }
        if (lane.reserved === undefined) again();
        else lane.next++;
        break;
      }
      case "commit": {
        const room = lane.reserved;
        lane.reserved = undefined;
        if (room === undefined) {
          lane.next++;
          break;
        }
        const rows = room.byteLength / this.content.shape.shardsPerRow;
        room.set(this.#nextRows(rows));
        const committed = new Promise<void>((resolve) => {
          writer.commit(room.byteLength);
          resolve();
        });
        this.#issue(lane, i, name, committed, true);
        break;
      }
      case "skip":
        this.#appendedRows += call.rows;
        this.#issue(lane, i, name, writer.skip(call.rows), call.await);
        break;
      case "flush":
        this.#issue(lane, i, name, this.#flush(writer), call.await);
        break;
      case "close":
        this.#issue(lane, i, name, this.#close(writer), call.await);
        break;
      case "abort":
        this.#issue(lane, i, name, writer.abort(), call.await);
        break;
      case "exit":
        lane.next++;
        this.#leave();
        break;
    }
  }

  #nextRows(rows: number): Uint8Array {
    const from = this.#appendedRows;
    this.#appendedRows += rows;
    return this.content.rowsBetween(from, from + rows);
  }

  #issue(lane: Lane, i: number, name: string, promise: Promise<unknown>, awaits = true): void {
    const issued: Issued = { lane: i, name, outcome: "waits" };
    this.#issued.push(issued);
    lane.next++;
    if (awaits) lane.awaited = issued;
    promise.then(
      () => {
        issued.outcome = "done";
      },
      (error) => {
        issued.outcome = codeOf(error);
      },
    );
  }

  /** What a flush promises, looked at in the moment in which it resolves. */
  async #flush(writer: ArrayWriter): Promise<void> {
    const { epochRows, epochsPerShard } = this.content.shape;
    const complete = Math.floor(writer.watermarks.accepted / epochRows) * epochRows;
    await writer.flush();
    const landed = this.#sink.landedRows();
    if (landed < complete) this.control.problems.push(`flush resolved with ${landed} of ${complete} rows in the sink`);
    const whole = Math.floor(complete / (epochRows * epochsPerShard)) * epochRows * epochsPerShard;
    const published = this.#sink.publishedRows;
    if (published < whole) this.control.problems.push(`flush resolved with ${published} of ${whole} rows published`);
  }

  async #close(writer: ArrayWriter): Promise<void> {
    await writer.close();
    const { accepted } = writer.watermarks;
    const published = this.#sink.publishedRows;
    if (published !== accepted) this.control.problems.push(`closed with ${published} of ${accepted} rows published`);
  }

  // -------------------------------------------------------------------------------------------------------------------
  // exit

  /** What the hook on the process's exit does, but for blocking: here the other threads can go on all the same. */
  #leave(): void {
    this.#leaving = true;
    if (this.#c.off !== "EXIT_HANDSHAKE") this.#toEngine.postMessage({ type: "abort", hurry: true });
    this.#tryToLeave();
  }

  #toEngine!: { postMessage(message: { type: string; hurry: boolean }): void };

  #tryToLeave(): void {
    const handshake = this.#c.off !== "EXIT_HANDSHAKE";
    if (handshake && this.#counters.get("engineStopped") === 0) return;
    this.#left = true;
    if (this.control.hasPending("kick")) this.control.problems.push("the process leaves over a batch in flight");
    else if (!this.#backend.closed) {
      this.control.problems.push("the process leaves before the backend is closed");
    }
  }

  // --------------------------------------------------------------------------------------------------------------
  // properties

  #marksProblem(): string | undefined {
    if (this.#writer === undefined) return undefined;
    const marks = this.#writer.watermarks;
    const last = this.#lastMarks ?? marks;
    this.#lastMarks = marks;
    const names = ["accepted", "encoded", "delivered", "durable", "published"] as const;
    for (const [i, name] of names.entries()) {
      if (marks[name] < last[name]) return `watermark ${name} went from ${last[name]} to ${marks[name]}`;
      if (i > 0 && marks[name] > marks[names[i - 1]]) {
        return `watermark ${name} is ${marks[name]}, ${names[i - 1]} is ${marks[names[i - 1]]}`;
      }
    }
    const truth = {
      encoded: this.#backend.encodedRows,
      delivered: this.#sink.landedRows(),
      durable: this.#sink.journal?.recoverableRows() ?? this.#sink.sealedRows(),
      published: Math.max(0, this.#sink.publishedRows),
    };
    for (const name of ["encoded", "delivered", "durable", "published"] as const) {
      // Nothing is synced, so nothing is promised.
      if (name === "durable" && this.#c.durability === "none") continue;
      if (marks[name] > truth[name]) return `watermark ${name} is ${marks[name]}, but it is ${truth[name]}`;
    }
    return undefined;
  }

  /** No call says that all is well when something was lost, and all report the same failure. */
  #callsProblem(): string | undefined {
    const codes = this.#issued.filter(({ outcome }) => outcome !== "waits" && outcome !== "done");
    const allowed = new Set(["WRITER_CLOSED", "RESERVE_STATE"]);
    if (this.#errors.length > 1) return `listeners are told of ${this.#errors}`;
    const first = codes.find(({ outcome }) => !allowed.has(outcome));
    const other = codes.find(({ outcome }) => !allowed.has(outcome) && outcome !== first?.outcome);
    if (first !== undefined && other !== undefined) {
      return `${first.name} failed with ${first.outcome}, ${other.name} with ${other.outcome}`;
    }
    const mayAbort = this.#c.lanes.flat().some(({ call }) => call === "abort");
    if (first !== undefined && this.#errors.length > 0 && first.outcome !== this.#errors[0]) {
      return `${first.name} failed with ${first.outcome}, listeners are told of ${this.#errors}`;
    }
    if (first !== undefined && !this.#hadFault() && !mayAbort) return `${first.name} failed with ${first.outcome}`;
    return undefined;
  }

  #hadFault(): boolean {
    return this.#c.faults !== undefined && this.#faultsLeft < (this.#c.faultsMax ?? 1);
  }

  #endOfStreamProblem(): string | undefined {
    const { dead } = this.control;
    if (!dead.has("delivery") && this.#sink.opened && !this.#sink.closing) return "the sink was never closed";
    if (!dead.has("engine") && this.#backend.opened && !this.#backend.closed) return "the backend was never closed";
    if (this.#released !== 1) return `memory was released ${this.#released} times`;
    if (this.#opened !== "done") return undefined;
    const closed = this.#issued.find(({ name, outcome }) => name.includes("close") && outcome === "done");
    const { rows, shape } = this.content;
    if (this.#sink.publishedRows > this.#sink.sealedRows()) return "published rows are missing";
    if (closed === undefined || this.#appendedRows < rows || this.#issued.some(({ outcome }) => outcome !== "done")) {
      return undefined;
    }
    if (this.#sink.journal?.isEmpty === false) return "a journal or the marker is left";
    // Nothing went wrong: the store holds the whole program, byte for byte.
    if (this.#sink.publishedRows !== rows) return `${this.#sink.publishedRows} of ${rows} rows are published`;
    const shardRows = Math.ceil(rows / (shape.epochRows * shape.epochsPerShard));
    for (let row = 0; row < shardRows; row++) {
      for (let shard = 0; shard < shape.shardsPerRow; shard++) {
        const { chunks } = this.content.shardData(row, shard);
        const bytes = this.#sink.files.get(keyOf(row, shard));
        if (chunks.length === 0) {
          if (bytes !== undefined) return `${keyOf(row, shard)} exists`;
          continue;
        }
        const whole = concat([...chunks, this.content.shardIndex(row, chunks.length)]);
        if (bytes === undefined || !sameBytes(bytes, whole)) return `${keyOf(row, shard)} is ${bytes}, not ${whole}`;
      }
    }
    return undefined;
  }

  /** States and generations of slots, and the counters that anything goes by. */
  #sharedWords(): string {
    const { stagingControl, outputControl, staging, output, wholeEpochs } = this.#memory;
    const counters = (
      [
        "rowsEncoded",
        "rowsDelivered",
        "rowsDurable",
        "rowsPublished",
        "failed",
        "engineStopped",
        "producerLeft",
        "sinkPendingBytes",
      ] as const
    ).map((name) => this.#counters.get(name));
    return (
      `${this.#ringStates(stagingControl, staging.length)} ${this.#ringStates(outputControl, output.length)} ` +
      `${counters} ${new Int32Array(wholeEpochs)}`
    );
  }

  /** Without the word behind the slots, a peak that nothing goes by. */
  #ringStates(memory: SharedArrayBuffer, depth: number): string {
    return new Int32Array(memory).subarray(0, 3 * depth).join(",");
  }

  // ------------------------------------------------------------------------------------------------------------------
  // set-up

  #platform(): Platform {
    return {
      machine: () => MACHINE,
      // All that a writer without helpers and without a GPU asks of it.
      addon: () => ({ releasePages: (view: Uint8Array) => this.#release(view) }) as unknown as NativeAddon,
      gpuHost: () => Promise.reject(new Error("no GPU here")),
      warnings: () => [],
      requireFor: async () => {},
      resumePoint: () => Promise.reject(new Error("nothing is resumed here")),
      startThreads: async (_threads, init, onLost) => this.#startThreads(init, onLost),
    };
  }

  /**
   * As start_workers does it, with the threads' entries: ports of their own, and an end that shows only when all is
   * idle.
   */
  #startThreads(init: StreamThreadsInit, onLost: (error: MillraceError) => void): StreamThreads {
    const { control } = this;
    this.#onLost = onLost;
    this.#memory = init.engine.memory;
    this.#counters = new Counters(this.#memory.counters);
    this.#backend = new ControlledBackend(this.content, control, this.#memory);
    const [toEngine, engineProducer] = control.channel("producer", "engine");
    const [toDelivery, deliveryProducer] = control.channel("producer", "delivery");
    const [engineDelivery, deliveryEngine] = control.channel("engine", "delivery");
    this.#toEngine = toEngine;
    const port = <Out, In>(end: unknown): Port<Out, In> => end as Port<Out, In>;
    const deliveryLeft = leaveWithProducer(deliveryProducer, deliveryEngine, this.#counters);
    const engineLeft = leaveWithProducer(engineProducer, engineDelivery, this.#counters);
    const ended = (["engine", "delivery"] as const).map(
      (thread) => new Promise<void>((resolve) => this.#ended.set(thread, resolve)),
    );
    const mustNotReject = (name: string, run: Promise<void>): void => {
      run.catch((error) => control.problems.push(`${name} rejected: ${error}`));
    };
    const delivery = runDelivery(
      init.delivery,
      { producer: port(deliveryProducer), engine: port(deliveryEngine) },
      async () => this.#sink,
      deliveryLeft,
    );
    const engine = runEngine(
      init.engine,
      { producer: port(engineProducer), delivery: port(engineDelivery) },
      async () => {
        const unavailable = (): MillraceError => new MillraceError("BACKEND_UNAVAILABLE", "no backend.");
        await control.operation("engine", "backend open", () => {}, unavailable);
        this.#backend.opened = true;
        return this.#backend;
      },
      engineLeft,
    );
    mustNotReject("delivery", delivery);
    mustNotReject("engine", engine);
    return {
      engine: port(toEngine),
      delivery: port(toDelivery),
      keepAlive() {},
      async end() {
        toEngine.close();
        toDelivery.close();
        await Promise.all(ended);
      },
    };
  }

  /** The writer lets go of a slot: from here on the system may give its memory to somebody else. */
  #release(view: Uint8Array): void {
    const all = [...this.#memory.staging, ...this.#memory.output];
    for (const thread of ["engine", "delivery"] as const) {
      if (!this.#finished.has(thread)) this.control.problems.push(`memory is released while ${thread} may use it`);
    }
    view.fill(0xaa);
    if (view === all[all.length - 1]) this.#released++;
  }
}

function codeOf(error: unknown): string {
  return isMillraceError(error) ? error.code : `not an error of Millrace: ${error}`;
}
