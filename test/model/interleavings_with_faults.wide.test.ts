/** Longer streams than interleavings_with_faults.test.ts has, and two things that go wrong in one. */
import { WIDE_FAULTS, withoutLongest } from "./configurations.js";
import { exploreAll } from "./explore_all.js";

exploreAll(withoutLongest(WIDE_FAULTS), 1000, 1_800_000);
