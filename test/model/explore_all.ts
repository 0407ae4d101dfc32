import { expect, it } from "vitest";
import { PATIENCE_MS } from "../helpers/patience.js";
import type { Named } from "./configurations.js";
import { explore, walk } from "./explorer.js";
import { StreamWorld } from "./stream_world.js";

/**
 * Explores each configuration to its end: no interleaving may break a property, and keys may merge only states that are
 * alike.
 */
export function exploreAll(configurations: readonly Named[], walks: number, timeoutMs = PATIENCE_MS): void {
  it.each(configurations)(
    "$name",
    async (c) => {
      const make = (): Promise<StreamWorld> => StreamWorld.make(c);
      const { states, complete, failure, graph } = await explore(make, { keepGraph: true });
      expect(failure).toBeUndefined();
      expect(complete).toBe(true);
      expect(states).toBeGreaterThanOrEqual(c.statesMin);
      expect(await walk(make, graph, walks, 1)).toBeUndefined();
    },
    timeoutMs,
  );
}
