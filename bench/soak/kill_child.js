// A process that is killed: streams into a store, or recovers one. Says on its standard output what it was promised,
// line by line and synchronously, so that a line that was written is there whatever happens next: open | rows DURABLE
// PUBLISHED | closed

import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom } from "../../dist/bench/seeded_random.js";
import { fileSink, openWriter, recoverStore } from "../../dist/index.js";
import { content } from "./store.js";

const job = JSON.parse(process.argv[2]);
const say = (line) => writeSync(1, `${line}\n`);

if (job.recover) {
  say("open");
  await recoverStore(job.path);
  say("closed");
} else {
  await stream(job);
}

async function stream({ path, seed, mode, columns, rowsMax, writer: options, array }) {
  const random = seededRandom(seed);
  const writer = await openWriter({ sink: fileSink(path), mode, array, ...options });
  let told = "";
  const tell = () => {
    const { durable, published } = writer.watermarks;
    const line = `rows ${durable} ${published}`;
    if (line !== told) say(line);
    told = line;
  };
  writer.on("shard", tell);
  writer.on("progress", tell);
  say("open");
  let at = writer.watermarks.accepted * columns * 2;
  const end = at + rowsMax * columns * 2;
  const largest = 1 + Math.floor(random() ** 3 * 20 * columns);
  while (at < end) {
    const to = Math.min(end, at + 2 * (1 + Math.floor(random() * largest)));
    await writer.append(content(at, to, columns));
    at = to;
    tell();
    const next = random();
    if (next < 0.02) await writer.flush();
    else if (next < 0.06) await pause(random() * 10);
    // Messages of the threads are heard in turns of their own.
    else if (next < 0.3) await pause(0);
    tell();
  }
  await writer.close();
  tell();
  say("closed");
}
