/** Longer streams than interleavings_with_faults.test.ts has, and two things that go wrong in one. */
import { WIDE_FAULTS } from "./configurations.js";
import { exploreAll } from "./explore_all.js";

exploreAll(WIDE_FAULTS, 1000, 1_800_000);
