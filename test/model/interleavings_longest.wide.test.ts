/** The streams with the most states, and with faults. */
import { LONGEST } from "./configurations.js";
import { exploreAll } from "./explore_all.js";

exploreAll(LONGEST, 1000, 1_800_000);
