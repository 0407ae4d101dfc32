/** The library speaks of its options; whoever types a command knows flags. This is the one table between the two. */
const FLAGS: Readonly<Record<string, string>> = {
  memoryBudgetBytes: "--memory",
  encodeThreads: "--threads",
  maxBatchAgeMs: "--max-age",
  batchEpochs: "--batch-bytes",
  allowSoftwareAdapter: "--allow-software-adapter",
  partBytes: "--part-bytes",
  discardDamaged: "--discard-damaged",
  dryRun: "--dry-run",
  chunkBytesTarget: "--chunk-bytes",
  shardBytesTarget: "--shard-bytes",
  "array.fillValue": "--fill",
  "array.attributes": "--attributes",
  "array.codec": "--codec",
  "array.dtype": "--dtype",
};

/** The flag that sets an option, also where both are called the same. */
export function flagOf(option: string): string {
  return FLAGS[option] ?? `--${option}`;
}

const NAMES = Object.keys(FLAGS)
  .map((name) => name.replace(".", "\\."))
  .join("|");

/**
 * Texts of messages and what they are in a shell, in this order: what is said in more words comes before the bare name.
 * A name inside of a path is no option.
 */
const WORDS: readonly (readonly [pattern: RegExp, shell: string])[] = [
  [/(?:fileSink\(path, \{ force: true \}\) or |\bforce: true \()--force\)?/g, "--force"],
  [/\bUse fileSink, or durability "shard"/g, "Write into a folder, or use --durability shard"],
  [/\bs3Sink\(\{ bucket, prefix \}\), or (?=s3:)/g, ""],
  [/\b(?:s3Sink|s3Store|recoverStore|fileSink) (?=\w+ must be )/g, ""],
  [
    /`storedArrayOptions` returns it/g,
    "`millrace inspect` shows it, and without --dtype, --dims and --codec it is taken",
  ],
  [/(?<![\d.,])1 shards lie side by side and/g, "1 shard is as wide as the array, and"],
  [/, or lower chunkBytesMin or depth/g, ", or raise --memory"],
  [/\bthe mode is "resume"/g, "--mode is resume"],
  [/\b(?:Option )?(mode|durability|backend):? "(\w+)"(?: or "(\w+)")?/g, "--$1 $2$3"],
  [/(?<!--)\bbackend cpu\b/g, "--backend cpu"],
  [/\b(allowSoftwareAdapter|discardDamaged|dryRun): true\b/g, "$1"],
  [/\bOption batchEpochs is (\d+), but/g, "--batch-bytes asks for $1 epochs, but"],
  [/\bbatchEpochs \(now (\d+)\)/g, "--batch-bytes (now $1 epochs)"],
  [/\bSet batchEpochs to \d+, which takes half/g, "Halve --batch-bytes"],
  [/\bOption array\.dimensions\[\d+\]\.(\w+) of dimension/g, "--dims: $1 of dimension"],
  [/\bOption array\.dimensions\[(\d+)\]\.(\w+)/g, "--dims: $2 of dimension $1"],
  [/\bhas size null\b/g, "has size 0 (unbounded)"],
  [/\bUse null for an\b/g, "Use 0 for an"],
  [/\blarger, or null for an unbounded one/g, "larger in --dims, or 0 for an unbounded one"],
];

const NAME = new RegExp(`(?:\\bOption )?(?<![\\w./\\\\-])(${NAMES})(?![\\w/\\\\-])`, "g");
const ONE = /(?<![\d.,])1 (row|byte|chunk|shard|epoch|frame|file|element)s\b/g;

/** A message of the library in the words of a command line. */
export function shellWords(message: string): string {
  let text = message;
  for (const [pattern, shell] of WORDS) {
    text = text.replace(pattern, (_, ...groups: (string | undefined)[]) =>
      shell.replace(/\$(\d)/g, (_, group: string) => {
        const word = groups[Number(group) - 1];
        return word === undefined ? "" : group === "3" ? ` or ${word}` : word;
      }),
    );
  }
  return text.replace(NAME, (_, name: string) => flagOf(name)).replace(ONE, "1 $1");
}
