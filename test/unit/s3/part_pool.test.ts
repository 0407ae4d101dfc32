import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PartPool } from "../../../src/s3/part_pool.js";

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe("the pool of parts", () => {
  it("lends a buffer for each shard and each connection, and makes the next one wait", async () => {
    const pool = new PartPool(2);
    pool.shardBegun();
    const taken = await Promise.all([pool.take(8), pool.take(8), pool.take(8)]);
    let fourth: Uint8Array | undefined;
    const waiting = pool.take(8).then((buffer) => {
      fourth = buffer;
    });
    await tick();
    expect(fourth).toBeUndefined();
    pool.give(taken[1]);
    await waiting;
    // The same memory, not more of it.
    expect(fourth).toBe(taken[1]);
  });

  it("lends one more when another shard begins", async () => {
    const pool = new PartPool(1);
    pool.shardBegun();
    await pool.take(8);
    await pool.take(8);
    const third = pool.take(8);
    pool.shardBegun();
    await third;
  });

  it("serves those who wait in their order", async () => {
    const pool = new PartPool(1);
    const first = await pool.take(8);
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (i) => {
      const buffer = await pool.take(8);
      order.push(i);
      pool.give(buffer);
    });
    pool.give(first);
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  it("lets as many through as there are connections, also after failures", async () => {
    const pool = new PartPool(3);
    let now = 0;
    let most = 0;
    const send = async (i: number) => {
      now++;
      most = Math.max(most, now);
      await tick();
      now--;
      if (i % 3 === 0) throw new Error("lost");
    };
    const all = await Promise.allSettled(Array.from({ length: 30 }, (_, i) => pool.send(() => send(i))));
    expect(all.filter(({ status }) => status === "rejected")).toHaveLength(10);
    expect(most).toBe(3);
  });

  it("never holds more memory than shards and connections together", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom("begin", "end", "take", "give"), { maxLength: 60 }),
        async (concurrency, steps) => {
          const pool = new PartPool(concurrency);
          const held: Uint8Array[] = [];
          let shards = 0;
          let asked = 0;
          for (const step of steps) {
            if (step === "begin") {
              pool.shardBegun();
              shards++;
            } else if (step === "end" && shards > 0 && held.length < shards + concurrency) {
              pool.shardEnded();
              shards--;
            } else if (step === "take") {
              asked++;
              void pool.take(8).then((buffer) => {
                held.push(buffer);
              });
            } else if (step === "give" && held.length > 0) {
              asked--;
              pool.give(held.pop()!);
            }
            await tick();
            expect(held.length).toBe(Math.min(asked, Math.max(held.length, shards + concurrency)));
            expect(new Set(held).size).toBe(held.length);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
