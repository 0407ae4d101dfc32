/**
 * Imported for its effect, and before everything else: modules that follow may already fail on an old Node, with errors
 * that say nothing.
 */
import { requireNode } from "./node_version.js";

requireNode(globalThis.process?.versions?.node);
