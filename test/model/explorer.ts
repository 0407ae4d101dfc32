import { createHash } from "node:crypto";
import { seededRandom } from "../../src/bench/seeded_random.js";

/**
 * Something whose every step is chosen from outside. Made anew for each run; the same choices must lead to the same
 * states.
 */
export interface World {
  /** Names of what can happen next, in a fixed order. Empty: the run is over. */
  enabled(): readonly string[];
  /** Lets one of them happen, and everything that follows from it without a further choice. */
  apply(name: string): Promise<void>;
  /** Says what is wrong in this state; undefined: nothing. */
  problem(): string | undefined;
  /** The same for the state in which a run is over. */
  endProblem(): string | undefined;
  /** Two states with the same key have the same future. */
  key(): string;
  /** Takes down what the world has put up. The world is not used again. */
  dispose(): void;
}

export interface Failure {
  readonly problem: string;
  /** What was chosen, in order. */
  readonly trace: readonly string[];
}

export interface Exploration {
  /** Different states reached. */
  readonly states: number;
  /** Pairs of a state and something that happened in it. */
  readonly transitions: number;
  /** Different ways through, from the start to an end; may be far beyond 2^53. */
  readonly interleavings: number;
  /** Choices of the longest way. */
  readonly stepsMax: number;
  /** Every interleaving was looked at. */
  readonly complete: boolean;
  /** The first problem; nothing is looked at after it. */
  readonly failure: Failure | undefined;
  /** Where each choice leads, by the keys of states. */
  readonly graph: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

interface State {
  readonly key: string;
  readonly choices: readonly string[];
  next: number;
  interleavings: number;
  readonly leadsTo: Map<string, string>;
}

/**
 * Explores every interleaving of `make()`'s world, depth first, each state once. A promise cannot be forked, so going
 * back means running a fresh world through the same choices again. Stops at the first problem, or with more than
 * `statesMax` states.
 */
export async function explore(
  make: () => Promise<World>,
  { statesMax = Number.POSITIVE_INFINITY, keepGraph = false } = {},
): Promise<Exploration> {
  /** Ways from there to an end; undefined while they are being counted. */
  const seen = new Map<string, number | undefined>();
  const graph = new Map<string, Map<string, string>>();
  /** The states on the way to where the search is, and what was chosen in each. */
  const stack: State[] = [];
  let [transitions, stepsMax, interleavings] = [0, 0, 0];

  const result = (failure: Failure | undefined, complete: boolean): Exploration => {
    return { states: seen.size, transitions, interleavings, stepsMax, complete, failure, graph };
  };
  const path = (): string[] => stack.map(({ choices, next }) => choices[next - 1]);
  /** The state `key` was reached by the last choice, and `ways` lead on from it. */
  const count = (key: string, ways: number): void => {
    const from = stack.at(-1);
    if (from === undefined) {
      interleavings = ways;
      return;
    }
    from.interleavings += ways;
    if (keepGraph) from.leadsTo.set(from.choices[from.next - 1], key);
  };

  /** Goes on from the state that the stack leads to, until it meets one it knows. */
  const descend = async (world: World): Promise<string | undefined> => {
    for (;;) {
      const problem = world.problem();
      if (problem !== undefined) return problem;
      const key = digest(world);
      if (seen.has(key)) {
        const ways = seen.get(key);
        if (ways === undefined) return "the same state comes again and again";
        count(key, ways);
        return undefined;
      }
      const choices = world.enabled();
      if (choices.length === 0) {
        stepsMax = Math.max(stepsMax, stack.length);
        seen.set(key, 1);
        graph.set(key, new Map());
        count(key, 1);
        return world.endProblem();
      }
      seen.set(key, undefined);
      const leadsTo = new Map<string, string>();
      if (keepGraph) graph.set(key, leadsTo);
      stack.push({ key, choices, next: 1, interleavings: 0, leadsTo });
      transitions++;
      await world.apply(choices[0]);
    }
  };

  return withStrayErrors(async (stray) => {
    for (;;) {
      const problem = await inWorld(make, async (world) => {
        for (const name of path()) await world.apply(name);
        return descend(world);
      });
      const wrong = problem ?? (await stray());
      if (wrong !== undefined) return result({ problem: wrong, trace: path() }, false);
      for (let top = stack.at(-1); top !== undefined && top.next === top.choices.length; top = stack.at(-1)) {
        stack.pop();
        seen.set(top.key, top.interleavings);
        count(top.key, top.interleavings);
      }
      const top = stack.at(-1);
      if (top === undefined) return result(undefined, true);
      if (seen.size >= statesMax) return result(undefined, false);
      top.next++;
      transitions++;
    }
  });
}

/** Runs one world through `trace`. Returns the problem that it meets there, if any. */
export async function replay(make: () => Promise<World>, trace: readonly string[]): Promise<string | undefined> {
  return withStrayErrors(async (stray) => {
    const problem = await inWorld(make, async (world) => {
      for (const name of trace) await world.apply(name);
      return world.problem() ?? (world.enabled().length === 0 ? world.endProblem() : undefined);
    });
    return problem ?? stray();
  });
}

/**
 * Checks that keys merge no states that differ: takes `count` ways at random from start to end, each with a history of
 * its own, and requires every step to lead where `graph` says. Returns the first step that does not.
 */
export async function walk(
  make: () => Promise<World>,
  graph: Exploration["graph"],
  count: number,
  seed: number,
): Promise<Failure | undefined> {
  const random = seededRandom(seed);
  for (let i = 0; i < count; i++) {
    const trace: string[] = [];
    const problem = await inWorld(make, async (world) => {
      for (let key = digest(world); ; ) {
        const choices = world.enabled();
        const known = [...(graph.get(key)?.keys() ?? ["a state that was never seen"])];
        if (known.sort().join() !== [...choices].sort().join()) return `can go on with ${choices}, not with ${known}`;
        if (choices.length === 0) return undefined;
        const choice = choices[Math.floor(random() * choices.length)];
        trace.push(choice);
        await world.apply(choice);
        const expected = graph.get(key)?.get(choice);
        key = digest(world);
        if (key !== expected) return "comes to another state than by another way";
      }
    });
    if (problem !== undefined) return { problem, trace };
  }
  return undefined;
}

/** Everything that runs without a further choice has run: the queue of microtasks is empty. */
export function settled(): Promise<void> {
  // A tick's turn comes when no microtask is left; unlike a timer it costs no turn of the event loop.
  return new Promise((resolve) => process.nextTick(resolve));
}

function digest(world: World): string {
  return createHash("sha1").update(world.key()).digest("base64");
}

async function inWorld<T>(make: () => Promise<World>, use: (world: World) => Promise<T>): Promise<T> {
  const world = await make();
  try {
    return await use(world);
  } finally {
    world.dispose();
  }
}

/** `use` can ask for a rejection that nobody has handled; those of others than the test runner do not hear of it. */
async function withStrayErrors<T>(use: (stray: () => Promise<string | undefined>) => Promise<T>): Promise<T> {
  const errors: unknown[] = [];
  const listener = (error: unknown): number => errors.push(error);
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", listener);
  try {
    return await use(async () => {
      // They show only when the event loop turns.
      await new Promise((resolve) => setImmediate(resolve));
      return errors.length > 0 ? `nobody handled ${errors[0]}` : undefined;
    });
  } finally {
    process.off("unhandledRejection", listener);
    for (const other of others) process.on("unhandledRejection", other);
  }
}
