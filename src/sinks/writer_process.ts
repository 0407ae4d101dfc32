import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { MillraceError } from "../base/errors.js";
import type { WriterMarker, WriterProcess } from "../journal/writer_marker.js";
import { errnoOf } from "./os_error.js";

/** The process that runs this, as a marker names it. Never throws. */
export async function thisProcess(): Promise<WriterProcess> {
  const { pid } = process;
  return { host: hostname(), pid, processStart: (await lookAt(pid))?.start, ended: false };
}

/**
 * Whether the writer of a marker is still at work. False also for one on another machine, or in a container with another name: nobody can
 * tell from here.
 */
export async function isAtWork({ host, pid, processStart, ended }: WriterProcess): Promise<boolean> {
  if (ended || host !== hostname() || !exists(pid)) return false;
  const found = await lookAt(pid);
  if (found === undefined || processStart === undefined) return true;
  // The number may have been given to another process since; and one that was killed keeps it until its parent has noticed.
  return found.start === processStart && !found.dead;
}

/**
 * For what would take a store away from its writer.
 * @param otherwise what to do when the process is not what the marker takes it for: its number was given anew, and the system does not tell
 */
export async function refuseAtWork(root: string, marker: WriterMarker | undefined, otherwise: string): Promise<void> {
  if (marker?.writer === undefined || !(await isAtWork(marker.writer))) return;
  const { host, pid } = marker.writer;
  throw new MillraceError("STORE_IN_USE", `the writer of ${root}, process ${pid} on ${host}, is still running.`, {
    context: { path: root, host, pid },
    hint: `Close or abort it first. ${otherwise}`,
  });
}

function exists(pid: number): boolean {
  try {
    // Signal 0 is not sent; asking for it says whether it could be.
    return process.kill(pid, 0);
  } catch (error) {
    return errnoOf(error) === "EPERM";
  }
}

/** What Linux says of a process: undefined elsewhere, and for one that is not there. */
async function lookAt(pid: number): Promise<{ readonly start: string; readonly dead: boolean } | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "latin1"),
      readFile("/proc/sys/kernel/random/boot_id", "latin1"),
    ]);
    // The name in parentheses may hold anything, more parentheses too. Fields from behind it: state, … start time in ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { start: `${boot.trim()} ${fields[19]}`, dead: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return undefined;
  }
}
