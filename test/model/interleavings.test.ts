/**
 * Every order in which things can happen in short streams, with the real classes; docs/ordering.md says what is looked
 * at.
 */
import { SMALL } from "./configurations.js";
import { exploreAll } from "./explore_all.js";

exploreAll(SMALL, 20);
