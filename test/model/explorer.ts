import { createHash } from "node:crypto";

/** Something whose every step is chosen from outside. Made anew for each run; the same choices must lead to the same states. */
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

export interface ExplorerOptions {
  /** Gives up beyond this many states: then `complete` is false. */
  readonly statesMax?: number;
}

export interface Exploration {
  /** Different states reached. */
  readonly states: number;
  /** Pairs of a state and something that happened in it. */
  readonly transitions: number;
  /** Runs that went to their end, each a different interleaving; all others joined one of them in a state known already. */
  readonly ends: number;
  readonly stepsMax: number;
  /** Every interleaving was looked at. */
  readonly complete: boolean;
  /** The first run in which something was wrong. */
  readonly failure: { readonly problem: string; readonly trace: readonly string[] } | undefined;
}

interface Branch {
  readonly choices: readonly string[];
  next: number;
}

/**
 * Explores every interleaving of `make()`'s world, depth first. A promise cannot be forked, so going back means running a fresh world
 * through the same choices again. Stops at the first problem.
 */
export async function explore(make: () => Promise<World>, options: ExplorerOptions = {}): Promise<Exploration> {
  const { statesMax = Number.POSITIVE_INFINITY } = options;
  const seen = new Set<string>();
  const branches: Branch[] = [];
  const path: string[] = [];
  let transitions = 0;
  let ends = 0;
  let stepsMax = 0;
  const result = (failure: Exploration["failure"], complete: boolean): Exploration => ({
    states: seen.size,
    transitions,
    ends,
    stepsMax,
    complete,
    failure,
  });

  const stray: unknown[] = [];
  const onStray = (error: unknown): unknown => stray.push(error);
  // The runner has listeners of its own, to whom a rule that is switched off would look like a broken test.
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", onStray);
  try {
    return await search();
  } finally {
    process.off("unhandledRejection", onStray);
    for (const listener of others) process.on("unhandledRejection", listener);
  }

  async function search() {
  for (;;) {
    const world = await make();
    try {
      for (const name of path) await world.apply(name);
      for (;;) {
        const problem = world.problem();
        if (problem !== undefined) return result({ problem, trace: [...path] }, false);
        const key = createHash("sha1").update(world.key()).digest("latin1");
        if (seen.has(key)) break;
        seen.add(key);
        const choices = world.enabled();
        if (choices.length === 0) {
          ends++;
          stepsMax = Math.max(stepsMax, path.length);
          const wrong = world.endProblem();
          if (wrong !== undefined) return result({ problem: wrong, trace: [...path] }, false);
          break;
        }
        branches.push({ choices, next: 1 });
        path.push(choices[0]);
        transitions++;
        await world.apply(choices[0]);
      }
    } finally {
      world.dispose();
    }
    // Rejections that nobody handles show only when the event loop turns.
    await new Promise((resolve) => setImmediate(resolve));
    if (stray.length > 0) return result({ problem: `nobody handled ${stray[0]}`, trace: [...path] }, false);
    while (branches.length > 0 && branches[branches.length - 1].next >= branches[branches.length - 1].choices.length) {
      branches.pop();
      path.pop();
    }
    if (branches.length === 0) return result(undefined, true);
    if (seen.size >= statesMax) return result(undefined, false);
    const top = branches[branches.length - 1];
    path[path.length - 1] = top.choices[top.next++];
    transitions++;
  }
  }
}

/** Runs one world through `trace`; then through the first choice each time, to the end. For looking at one run. */
export async function replay(make: () => Promise<World>, trace: readonly string[]): Promise<string | undefined> {
  const world = await make();
  try {
    for (const name of trace) {
      await world.apply(name);
      const problem = world.problem();
      if (problem !== undefined) return problem;
    }
    for (let choices = world.enabled(); choices.length > 0; choices = world.enabled()) {
      await world.apply(choices[0]);
      const problem = world.problem();
      if (problem !== undefined) return problem;
    }
    return world.endProblem();
  } finally {
    world.dispose();
  }
}

/** Everything that runs without a further choice has run: the queue of microtasks is empty. */
export function settled(): Promise<void> {
  // A tick's turn comes when no microtask is left; unlike a timer it costs no turn of the event loop.
  return new Promise((resolve) => process.nextTick(resolve));
}
