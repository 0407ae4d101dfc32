/** The same where somebody aborts or something fails, at every point where it can. */
import { SMALL_FAULTS } from "./configurations.js";
import { exploreAll } from "./explore_all.js";

exploreAll(SMALL_FAULTS, 20);
