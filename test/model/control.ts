import type { Port } from "../../src/pipeline/port.js";
import { settled } from "./explorer.js";

/** The threads of a stream. Each is a part of this one, and runs only when one of its events is chosen. */
export type ThreadName = "producer" | "engine" | "delivery";

/** One thing that can happen next. */
export interface Choice {
  readonly name: string;
  /** Whose code it runs. */
  readonly thread: ThreadName;
  /**
   * Nothing else can tell when it happens: it touches only what its own thread reports to the caller, and comes out of
   * a queue whose later messages wait for it anyway. Then one order stands for all, and it goes first.
   */
  readonly silent?: boolean;
  run(): void;
}

type Message = { readonly type: string };
type Item = { readonly message: Message } | "close";

const SILENT = new Set(["shard", "published", "warning"]);
/** Messages that change one that waits, if one does: what becomes of them hangs on how far the thread is. */
const MERGING = new Set(["skipped"]);

/** One end of a channel: its messages wait until their delivery is chosen. */
class End implements Port<Message, Message> {
  onmessage: ((event: { data: Message }) => void) | null = null;
  readonly name: string;
  readonly #control: Control;
  readonly #closeListeners: (() => void)[] = [];
  readonly inbox: Item[] = [];
  /** Everything ever put into the inbox, as text. */
  readonly log: string[] = [];
  /** How much the thread had said when it took each message that may merge with one before it. */
  readonly mergedAt: number[] = [];
  taken = 0;
  closed = false;
  peer!: End;

  constructor(
    control: Control,
    readonly thread: ThreadName,
    readonly from: ThreadName,
  ) {
    this.#control = control;
    this.name = `${thread} gets`;
  }

  postMessage(message: Message): void {
    if (this.closed || this.peer.closed) return;
    this.peer.put({ message: structuredClone(message) });
  }

  put(item: Item): void {
    this.inbox.push(item);
    // A stack says by which way the explorer came, not what was said.
    this.log.push(
      item === "close" ? item : JSON.stringify(item.message, (name, value) => (name === "stack" ? "" : value)),
    );
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.inbox.length = 0;
    this.put("close");
    if (!this.peer.closed) this.peer.put("close");
  }

  addEventListener(_type: "close", listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  once(_type: "close", listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  ref(): void {}

  unref(): void {}

  choice(): Choice | undefined {
    const item = this.inbox[0];
    if (item === undefined || this.#control.dead.has(this.thread)) return undefined;
    if (item === "close") {
      // Nobody listens: nothing happens, and nobody can tell when.
      const silent = this.#closeListeners.length === 0 || undefined;
      return {
        name: `${this.thread} hears that ${this.from} is gone`,
        thread: this.thread,
        silent,
        run: () => this.#take(item),
      };
    }
    // A port keeps its messages until somebody listens.
    if (this.onmessage === null) return undefined;
    const { type, generation, batch } = item.message as Message & {
      generation?: number;
      batch?: { generation: number };
    };
    const which = generation ?? batch?.generation;
    return {
      name: `${this.name} ${type}${which === undefined ? "" : ` ${which}`} from ${this.from}`,
      thread: this.thread,
      silent: (this.thread === "producer" && SILENT.has(type)) || undefined,
      run: () => this.#take(item),
    };
  }

  #take(item: Item): void {
    this.inbox.shift();
    this.taken++;
    if (item !== "close") {
      if (MERGING.has(item.message.type)) this.mergedAt.push(this.#control.saidBy(this.thread));
      this.onmessage?.({ data: item.message });
      return;
    }
    this.closed = true;
    for (const listener of this.#closeListeners) listener();
  }
}

interface Operation {
  readonly name: string;
  readonly thread: ThreadName;
  readonly mayFail: boolean;
  readonly succeed: () => void;
  readonly fail: () => void;
}

interface Timer {
  readonly name: string;
  readonly thread: ThreadName;
  readonly run: () => void;
}

/**
 * The scheduler under control: whatever a stream waits for (a message, a sink's call, the backend, a timer) waits here
 * until somebody chooses it.
 */
export class Control {
  readonly dead = new Set<ThreadName>();
  /** What went wrong outside the properties: a handler that threw, a broken contract. */
  readonly problems: string[] = [];
  readonly ends: End[] = [];
  /** In the order in which they began. */
  readonly operations = new Map<string, Operation>();
  readonly timers = new Map<number, Timer>();
  readonly #counts = new Map<string, number>();
  /** What has settled and how, by thread; in which order is in no key. */
  readonly #settledLog: Record<ThreadName, string[]> = { producer: [], engine: [], delivery: [] };
  /** Everything that each thread has been through, in its order. */
  readonly histories: Record<ThreadName, string[]> = { producer: [], engine: [], delivery: [] };
  #running: ThreadName = "producer";
  #nextTimer = 1;

  /** A channel between two threads, one end each. */
  channel(a: ThreadName, b: ThreadName): [End, End] {
    const ends: [End, End] = [new End(this, a, b), new End(this, b, a)];
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    this.ends.push(...ends);
    return ends;
  }

  /**
   * Something that `thread` waits for. `succeed` and `fail` run when it is chosen how it ends; `fail` missing: it
   * cannot.
   */
  operation<T>(thread: ThreadName, what: string, succeed: () => T, fail?: () => unknown): Promise<T> {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    const name = count === 1 ? what : `${what} #${count}`;
    return new Promise<T>((resolve, reject) => {
      this.operations.set(name, {
        name,
        thread,
        mayFail: fail !== undefined,
        succeed: () => resolve(succeed()),
        fail: () => reject(fail?.()),
      });
    });
  }

  /** How many messages the thread has sent. */
  saidBy(thread: ThreadName): number {
    return this.ends.reduce((sum, end) => sum + (end.from === thread ? end.log.length : 0), 0);
  }

  pendingOf(thread: ThreadName): number {
    let count = 0;
    for (const operation of this.operations.values()) if (operation.thread === thread) count++;
    for (const timer of this.timers.values()) if (timer.thread === thread) count++;
    return count;
  }

  hasPending(prefix: string): boolean {
    for (const operation of this.operations.values()) {
      if (operation.name.startsWith(prefix) && !this.dead.has(operation.thread)) return true;
    }
    return false;
  }

  setTimer(run: () => void, ms: number): number {
    const id = this.#nextTimer++;
    this.timers.set(id, { name: `timer of ${ms} ms`, thread: this.#running, run });
    return id;
  }

  clearTimer(id: number): void {
    this.timers.delete(id);
  }

  /**
   * The thread is gone, with all that it waited for. What it has said is on its way, and its ports close behind that.
   */
  kill(thread: ThreadName): void {
    this.dead.add(thread);
    for (const end of this.ends) {
      if (end.thread !== thread || end.closed) continue;
      end.closed = true;
      if (!end.peer.closed) end.peer.put("close");
    }
  }

  /** A thread that has nothing left to wait for: its ports are closed, no operation and no timer is pending. */
  isIdle(thread: ThreadName): boolean {
    return (
      this.pendingOf(thread) === 0 &&
      this.ends.every((end) => end.thread !== thread || (end.closed && end.inbox.length === 0))
    );
  }

  choices(): Choice[] {
    const found: Choice[] = [];
    for (const end of this.ends) {
      const choice = end.choice();
      if (choice !== undefined) found.push(choice);
    }
    for (const operation of this.operations.values()) {
      if (this.dead.has(operation.thread)) continue;
      found.push({ ...this.#settle(operation, "done"), run: () => operation.succeed() });
    }
    for (const [id, timer] of this.timers) {
      if (this.dead.has(timer.thread)) continue;
      const run = (): void => {
        this.timers.delete(id);
        timer.run();
      };
      found.push({ name: timer.name, thread: timer.thread, silent: timer.name === "timer of 0 ms" || undefined, run });
    }
    return found;
  }

  /** Ways in which what is pending can fail. */
  failures(of: (operation: string) => boolean): Choice[] {
    const found: Choice[] = [];
    for (const operation of this.operations.values()) {
      if (!operation.mayFail || this.dead.has(operation.thread) || !of(operation.name)) continue;
      found.push({ ...this.#settle(operation, "fails"), run: () => operation.fail() });
    }
    return found;
  }

  /** `reads`: what the step can see of other threads' memory. */
  async take(choice: Choice, reads: string): Promise<void> {
    this.#running = choice.thread;
    this.histories[choice.thread].push(`${choice.name} ${reads}`);
    const operation = / (done|fails)$/.exec(choice.name);
    if (operation !== null) {
      this.operations.delete(choice.name.slice(0, operation.index));
      this.#settledLog[choice.thread].push(choice.name);
    }
    try {
      choice.run();
    } catch (error) {
      this.problems.push(`${choice.thread} threw at "${choice.name}": ${error}`);
    }
    await settled();
  }

  /** What every thread has been told, has said and waits for; not in which order things of different origin came. */
  key(): string {
    const ends = this.ends.map(
      (end) => `${end.taken},${end.inbox.length},${end.closed},${end.mergedAt}:${end.log.join(" ")}`,
    );
    const waits = [...this.operations.keys(), ...[...this.timers.values()].map((timer) => timer.name)].sort();
    const done = Object.values(this.#settledLog).map((log) => [...log].sort().join(","));
    return [...ends, waits.join(","), ...done, [...this.dead].join(",")].join("\n");
  }

  #settle(operation: Operation, how: "done" | "fails"): { name: string; thread: ThreadName } {
    return { name: `${operation.name} ${how}`, thread: operation.thread };
  }
}
