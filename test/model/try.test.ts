import { expect, it } from "vitest";
import { explore } from "./explorer.js";
import { StreamWorld, type Configuration } from "./stream_world.js";
const shape = { epochRows: 1, epochsPerShard: 1, shardsPerRow: 1 };
const app = { call: "append", rows: 1 } as const;
const cs: Record<string, Configuration> = {
  d1b2: { ...shape, depth: 1, lanes: [[app, app, { call: "close" }]] },
  d2b2: { ...shape, depth: 2, lanes: [[app, app, { call: "close" }]] },
  d2b3: { ...shape, depth: 2, lanes: [[app, app, app, { call: "close" }]] },
};
for (const [name, c] of Object.entries(cs)) for (const exactKeys of [false, true])
  it(name + exactKeys, async () => {
    const t = performance.now();
    const r = await explore(() => StreamWorld.make({ ...c, exactKeys }), { statesMax: 30000 });
    console.log(name, exactKeys, JSON.stringify(r, null, 1), performance.now() - t);
  }, 200000);
