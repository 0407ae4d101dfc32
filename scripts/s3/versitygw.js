// versitygw as a child of this process, on a folder: buckets are folders, objects are files.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Its own: another server that took the port first must not answer for this one. */
const HEALTH = `/health-${randomUUID()}`;
const STOP_MS = 3_000;

export async function start(settings) {
  const { folder, bucket, binary = process.env.MILLRACE_VERSITYGW, deadlineMs } = settings;
  if (!binary)
    throw new Error(
      "expected the path of versitygw's binary, in MILLRACE_VERSITYGW for one; scripts/versitygw.sh installs it",
    );
  const objects = join(folder, "objects");
  const sidecar = join(folder, "sidecar");
  // It calls this a bucket, as it does each folder.
  await mkdir(join(objects, bucket), { recursive: true });
  const deadline = AbortSignal.timeout(deadlineMs);
  let place = [objects];
  let features = {};
  for (let tries = 1; ; tries++) {
    const port = settings.port || (await freePort());
    const server = run(binary, place, port, settings);
    const over = new AbortController();
    const complaint = await Promise.race([answers(port, AbortSignal.any([deadline, over.signal])), server.ended]);
    over.abort();
    if (complaint === undefined) return { port, pid: server.pid, features, ended: server.ended, stop: server.stop };
    await server.stop();
    if (/xattrs are not supported/.test(complaint.message) && place.length === 1) {
      // Metadata then go to files of their own, and a reader may see those of one version beside the data of another.
      await mkdir(sidecar, { recursive: true });
      place = ["--sidecar", sidecar, objects];
      features = { wholePuts: false };
    } else if (!(/address already in use/.test(complaint.message) && !settings.port && tries < 5)) throw complaint;
  }
}

function run(binary, place, port, { region, credentials }) {
  // Not --keep-alive: after a put that it has refused, it now and then takes the rest of that one for the next request,
  // and answers 400 to a good one.
  const options = ["--port", `127.0.0.1:${port}`, "--region", region, "--health", HEALTH, "--quiet"];
  // stdin is not inherited: the end of it is this process's own sign to leave.
  const child = spawn(binary, [...options, "posix", ...place], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      ROOT_ACCESS_KEY: credentials.accessKeyId,
      ROOT_SECRET_KEY: credentials.secretAccessKey,
    },
  });
  let said = "";
  child.stderr.on("data", (text) => {
    said = (said + text).slice(-4000);
  });
  const ended = new Promise((resolve) => {
    child.once("error", resolve);
    child.once("close", (code, signal) => resolve(new Error(`versitygw ended with ${code ?? signal}: ${said}`)));
  });
  const stop = async () => {
    if (child.pid === undefined) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  };
  return { pid: child.pid, ended, stop };
}

/** It prints no port that it has chosen itself. Another process may take this one first: then `start` tries again. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves to nothing once the server answers, to an error when it does not before `signal`. */
async function answers(port, signal) {
  for (;;) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}${HEALTH}`, { signal });
      await answer.arrayBuffer();
      if (answer.ok) return undefined;
    } catch {
      // Not listening yet.
    }
    if (signal.aborted) return new Error("versitygw does not answer");
    await sleep(20);
  }
}
