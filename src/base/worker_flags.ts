/**
 * Flags that a worker may be given again, with the number of values that may stand behind each. Others concern the
 * process, V8 or the way the main program was given, and `new Worker` refuses them with ERR_WORKER_INVALID_EXEC_ARGV.
 */
const FOR_WORKERS: Readonly<Record<string, 0 | 1>> = {
  "--import": 1,
  "--require": 1,
  "-r": 1,
  "--loader": 1,
  "--experimental-loader": 1,
  "--conditions": 1,
  "-C": 1,
  "--disable-warning": 1,
  "--unhandled-rejections": 1,
  "--enable-source-maps": 0,
  "--no-warnings": 0,
  "--no-deprecation": 0,
  "--pending-deprecation": 0,
  "--throw-deprecation": 0,
  "--trace-deprecation": 0,
  "--trace-warnings": 0,
  "--trace-uncaught": 0,
  "--preserve-symlinks": 0,
  "--experimental-strip-types": 0,
  "--no-experimental-strip-types": 0,
  "--experimental-transform-types": 0,
};

/**
 * Node's flags and environment for a worker, as options of its constructor. Both absent: it inherits what is legal for
 * it.
 */
interface WorkerFlags {
  readonly execArgv?: string[];
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Nothing, so that Node itself picks what a worker inherits, except where the program was started with `--input-type`:
 * a worker that inherits it refuses to start from a file. Then a list of what is known to be good is given instead,
 * since a worker takes no list with a V8 flag in it.
 */
export function workerFlags(
  argv: readonly string[] = process.execArgv,
  env: NodeJS.ProcessEnv = process.env,
): WorkerFlags {
  const fromEnvironment = nodeOptions(env.NODE_OPTIONS ?? "");
  const typed = (flags: readonly string[]): boolean => flags.some((flag) => /^--input[-_]type(=|$)/.test(flag));
  if (typed(fromEnvironment)) {
    // A worker reads NODE_OPTIONS of its environment again whenever it is given a list.
    const { NODE_OPTIONS: _, ...rest } = env;
    return { execArgv: forWorkers([...fromEnvironment, ...argv]), env: rest };
  }
  return typed(argv) ? { execArgv: forWorkers(argv) } : {};
}

function forWorkers(flags: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const name = flags[i].replace(/=.*$/s, "");
    const values = Object.hasOwn(FOR_WORKERS, name) ? FOR_WORKERS[name] : undefined;
    if (values === undefined) continue;
    kept.push(flags[i]);
    if (values === 1 && name === flags[i] && i + 1 < flags.length) kept.push(flags[++i]);
  }
  return kept;
}

/** Splits NODE_OPTIONS as Node does: at spaces outside double quotes, where a backslash keeps the next character. */
function nodeOptions(text: string): string[] {
  return (text.match(/(?:[^\s"]|"(?:[^"\\]|\\.)*")+/gs) ?? []).map((word) =>
    word.replaceAll(/"((?:[^"\\]|\\.)*)"/gs, (_, inner: string) => inner.replaceAll(/\\(.)/gs, "$1")),
  );
}
