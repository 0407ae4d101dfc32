/**
 * Node's flags for a worker: the process's own, without those that say how its main program was given. A worker that inherits
 * `--input-type` refuses to start from a file, so `node --input-type=module --eval …` could not use Millrace.
 */
export function workerFlags(): string[] {
  return process.execArgv.filter((flag) => !flag.startsWith("--input-type"));
}
