import { nowNs } from "../base/clock.js";
import type { VerifyProgress } from "../index.js";
import type { CliIo } from "./io.js";
import { formatBytes, formatCount, formatRate } from "./numbers.js";
import type { ProgressMode } from "./progress.js";
import { StatusLine } from "./status_line.js";

/**
 * `json`: one line a second, as `write` has it. A log gets a line now and then, and none of a check that is soon over.
 */
const JSON_INTERVAL_MS = 1000;
const LOG_INTERVAL_MS = 30_000;

/** Shows on stderr how far `verify` is: a line that changes on a terminal, lines in a log, or JSON. */
export class VerifyProgressLines implements Disposable {
  readonly #status: StatusLine;
  readonly #startNs = nowNs();
  readonly #timer: NodeJS.Timeout | undefined;
  #last: VerifyProgress | undefined;
  #defects = 0;

  constructor(
    private readonly mode: ProgressMode,
    private readonly stderr: CliIo["stderr"],
  ) {
    const onTerminal = stderr.isTTY === true;
    this.#status = new StatusLine(stderr, mode === "auto");
    const interval = mode === "json" ? JSON_INTERVAL_MS : mode === "auto" && !onTerminal ? LOG_INTERVAL_MS : undefined;
    if (interval === undefined) return;
    this.#timer = setInterval(() => this.#line(), interval);
    this.#timer.unref();
  }

  update(progress: VerifyProgress): void {
    this.#last = progress;
    this.#status.update(() => this.#text());
  }

  sawDefect(): void {
    this.#defects++;
  }

  /** Takes the changing line away; `json` ends with a line of what there is. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#status.clear();
    if (this.mode === "json" && this.#last !== undefined) this.#line();
    this.#last = undefined;
  }

  #line(): void {
    this.stderr.write(this.mode === "json" ? `${JSON.stringify(this.#json())}\n` : `${this.#text()}\n`);
  }

  #json() {
    const { objectsChecked = 0, objectsExpected = 0, chunksChecked = 0, bytesStored = 0 } = this.#last ?? {};
    const seconds = Number(this.#seconds().toFixed(3));
    return { seconds, objectsChecked, objectsExpected, chunksChecked, bytesStored, defects: this.#defects };
  }

  #text(): string {
    const { objectsChecked, objectsExpected, chunksChecked, bytesStored } = this.#json();
    // Of a shape that nothing could fill there is no use in saying how much is missing.
    const of = Number.isSafeInteger(objectsExpected) && objectsExpected > 0 ? ` of up to ${objectsExpected}` : "";
    const bad = this.#defects === 0 ? "" : `, ${formatCount(this.#defects, "defect")}`;
    const rate = formatRate(bytesStored, this.#seconds());
    return `checked ${objectsChecked}${of} shards, ${chunksChecked} chunks, ${formatBytes(bytesStored)}, ${rate}${bad}`;
  }

  #seconds(): number {
    return (nowNs() - this.#startNs) / 1e9;
  }
}
