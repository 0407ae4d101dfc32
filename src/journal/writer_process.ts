import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { WriterProcess } from "./writer_marker.js";

/** The process that runs this, as a marker names it. Never throws. */
export async function thisProcess(): Promise<WriterProcess> {
  const { pid } = process;
  return { host: hostname(), pid, processStart: (await lookAt(pid))?.start, ended: false };
}

/**
 * Whether the writer of a marker is still at work. False also for one on another machine, or in a container with
 * another name: nobody can tell from here.
 */
export async function isAtWork({ host, pid, processStart, ended }: WriterProcess): Promise<boolean> {
  if (ended || host !== hostname() || !exists(pid)) return false;
  const found = await lookAt(pid);
  if (found === undefined || processStart === undefined) return true;
  // The number may have been given to another process since; and one that was killed keeps it until its parent has
  // noticed.
  return found.start === processStart && !found.dead;
}

function exists(pid: number): boolean {
  try {
    // Signal 0 is not sent; asking for it says whether it could be.
    return process.kill(pid, 0);
  } catch (error) {
    // Somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What Linux says of a process: undefined elsewhere, and for one that is not there. */
async function lookAt(pid: number): Promise<{ readonly start: string; readonly dead: boolean } | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "latin1"),
      readFile("/proc/sys/kernel/random/boot_id", "latin1"),
    ]);
    // The name in parentheses may hold anything, more parentheses too. Fields from behind it: state, … start time in
    // ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { start: `${boot.trim()} ${fields[19]}`, dead: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return undefined;
  }
}
