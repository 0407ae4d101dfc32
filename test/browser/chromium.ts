import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createBrotliDecompress } from "node:zlib";
import { cachedFolder, chromiumPackage, unpackTar } from "../../scripts/swiftshader.js";
import { PATIENCE_MS } from "../helpers/patience.js";
import { makeTempFolder } from "../helpers/temp_folder.js";

/** A Chromium that can be started. */
export interface Chromium {
  readonly command: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const END_WAIT_MS = 5000;

/** Chromium, unpacked on first use, which takes seconds; or, as text, why it cannot be started here. */
export async function findChromium(): Promise<Chromium | string> {
  const found = chromiumPackage();
  if (found === undefined) return "Chromium is only there for Linux on x64, with the development packages installed";
  const folder = await cachedFolder(`chromium-${found.version}`, async (own) => {
    await pipeline(
      createReadStream(join(found.folder, "bin", "chromium.br")),
      createBrotliDecompress(),
      createWriteStream(join(own, "chromium"), { mode: 0o755 }),
    );
    // Chromium looks for its GPU libraries beside itself. lib/ holds what small systems lack, such as nss.
    await unpackTar(found, "swiftshader.tar.br", own);
    await unpackTar(found, "al2023.tar.br", own);
  });
  const libraries = [folder, join(folder, "lib"), process.env.LD_LIBRARY_PATH ?? ""].filter((path) => path !== "");
  const chromium = {
    command: join(folder, "chromium"),
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(":") },
  };
  try {
    await promisify(execFile)(chromium.command, ["--version"], { env: chromium.env, timeout: PATIENCE_MS });
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    return `Chromium does not start here: ${(stderr || message).trim().split("\n")[0]}`;
  }
  return chromium;
}

export interface Browser {
  readonly pid: number;
  /** Its temporary folder. */
  readonly folder: string;
  /** Settles when it ends on its own: with what it printed. */
  readonly ended: Promise<string>;
  /** Ends it with all of its processes, and removes its folder. */
  close(): Promise<void>;
}

/**
 * Starts Chromium without a window, with SwiftShader as its GPU, and opens `url`. It ends with this process at the
 * latest.
 */
export async function startBrowser(chromium: Chromium, url: string): Promise<Browser> {
  const folder = await makeTempFolder();
  const child = spawn(
    chromium.command,
    [
      "--headless=new",
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      // Containers often have a tiny /dev/shm, and Chromium crashes when it is full.
      "--disable-dev-shm-usage",
      "--no-first-run",
      `--user-data-dir=${folder}`,
      // Nothing is said over this pipe; its end is how Chromium notices that this process is gone.
      "--remote-debugging-pipe",
      url,
    ],
    {
      // All that it might leave in a home or temporary folder goes with this one.
      env: { ...chromium.env, HOME: folder, TMPDIR: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder },
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
      // A process group of its own: so that its helpers can be ended by it, and nobody else.
      detached: true,
    },
  );
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      printed = (printed + text).slice(-4000);
    });
  }
  try {
    await once(child, "spawn");
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const exited = once(child, "exit");
  const pid = child.pid as number;
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), END_WAIT_MS);
    await exited;
    clearTimeout(late);
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // ESRCH: none of its processes is left.
    }
    // A helper may have written once more while the folder was being emptied. Not waited for here: as zombies, which
    // only the system's first process removes, they keep their group for seconds.
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  return {
    pid,
    folder,
    ended: exited.then(([code, signal]) => `Chromium ended, code ${code}, signal ${signal}:\n${printed}`),
    close() {
      closed ??= close();
      return closed;
    },
  };
}
