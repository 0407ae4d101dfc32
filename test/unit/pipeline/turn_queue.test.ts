import { beforeEach, expect, it } from "vitest";
import { deferred } from "../../../src/base/deferred.js";
import { TurnQueue } from "../../../src/pipeline/turn_queue.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let turns: TurnQueue;
let log: string[];
beforeEach(() => {
  turns = new TurnQueue();
  log = [];
});

/** Enters `name` when the turn of that generation has come. */
const note = (generation: number, name: string): void => void turns.of(generation).then(() => log.push(name));

/** Work between two generations that ends when the test says so. */
function held(generation: number, name: string): () => void {
  const { promise, resolve } = deferred();
  void turns.before(generation, async () => {
    log.push(`${name} begins`);
    await promise;
    log.push(`${name} ends`);
  });
  return resolve;
}

it("gives each generation its turn when every older one is done, whoever came first", async () => {
  note(3, "third");
  note(2, "second");
  note(1, "first");
  await turn();
  expect(log).toEqual(["first"]);
  turns.done(1);
  await turn();
  expect(log).toEqual(["first", "second"]);
  // Done once more: nothing goes back.
  turns.done(2);
  turns.done(1);
  await turn();
  expect(log).toEqual(["first", "second", "third"]);
  note(2, "late");
  await turn();
  expect(log.at(-1)).toBe("late");
});

it("runs what lies between two generations in its order, and holds the later one until it has ended", async () => {
  const one = held(2, "one");
  const other = held(2, "other");
  note(2, "second");
  note(1, "first");
  await turn();
  expect(log).toEqual(["first"]);
  turns.done(1);
  await turn();
  expect(log.splice(0)).toEqual(["first", "one begins"]);
  one();
  await turn();
  expect(log.splice(0)).toEqual(["one ends", "other begins"]);
  other();
  await turn();
  expect(log).toEqual(["other ends", "second"]);
});

it("runs it at once where its turn has come, and waits for nothing that has ended", async () => {
  held(1, "one")();
  await turn();
  note(1, "first");
  await turn();
  expect(log).toEqual(["one begins", "one ends", "first"]);
});

it("lets all turns come in the end", async () => {
  const one = held(7, "one");
  note(5, "fifth");
  note(7, "seventh");
  turns.end();
  await turn();
  expect([...log].sort()).toEqual(["fifth", "one begins"]);
  one();
  await turn();
  expect(log.slice(2)).toEqual(["one ends", "seventh"]);
});
