import { it } from "vitest";
import { JOURNAL, SMALL, WIDE } from "./configurations.js";
import { explore, walk } from "./explorer.js";
import { StreamWorld } from "./stream_world.js";

for (const c of process.env.TRY_WIDE ? WIDE : process.env.TRY_J ? JOURNAL : SMALL)
  it(c.name, async () => {
    const t = process.cpuUsage();
    const t0 = performance.now();
    const r = await explore(() => StreamWorld.make(c), {
      statesMax: Number(process.env.TRY_MAX ?? 1e5),
      keepGraph: !process.env.TRY_WIDE,
    });
    const u = process.cpuUsage(t);
    console.log(
      "RES",
      c.name,
      JSON.stringify({ ...r, graph: undefined, failure: undefined }),
      r.failure ? r.failure.problem + "\n" + r.failure.trace.join("\n") : "",
      "cpu",
      u.user / 1000,
      "wall",
      performance.now() - t0,
    );
    if (r.complete && !process.env.TRY_WIDE) console.log(await walk(() => StreamWorld.make(c), r.graph, 50, 1));
  }, 2000000);
