import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type Chromium, startBrowser } from "./chromium.js";

const here = dirname(fileURLToPath(import.meta.url));
/** What a page may load, by the first part of the path. */
const FOLDERS: Readonly<Record<string, string>> = {
  dist: join(dirname(dirname(here)), "dist"),
  pages: join(here, "pages"),
};
const TYPES: Readonly<Record<string, string>> = { ".js": "text/javascript", ".wgsl": "text/plain" };

const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** What ran in the page. */
export interface PageRun<T> {
  /** What `run` returned, by way of JSON. */
  readonly value: T;
  /** Paths that the page asked for. */
  readonly requests: readonly string[];
  readonly browser: Pick<Browser, "pid" | "folder">;
}

/**
 * Opens a page that calls `run(params)` of `pages/<script>`, and ends browser and server when it has answered. `/dist/`
 * and `/pages/` are there for it to import from.
 * @param options `isolated`: whether the page gets the headers that allow SharedArrayBuffer. Default true.
 *   `timeoutMs`: how long it may take in all. Default 60 s.
 * Rejects with the page's error, and when it has not answered in time.
 */
export async function runPage<T>(
  chromium: Chromium,
  script: string,
  params: unknown = {},
  options: { readonly isolated?: boolean; readonly timeoutMs?: number } = {},
): Promise<PageRun<T>> {
  const { isolated = true, timeoutMs = 60_000 } = options;
  const requests: string[] = [];
  let answer = (_body: string): void => {};
  const answered = new Promise<string>((resolve) => {
    answer = resolve;
  });
  const server = createServer((request, response) => {
    if (isolated) for (const [name, value] of Object.entries(ISOLATED)) response.setHeader(name, value);
    requests.push(request.url ?? "");
    respond(request, response, pageText(script, params), answer).catch((error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  let browser: Browser | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    browser = await startBrowser(chromium, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const failed = (reason: string): never => {
      throw new Error(`pages/${script} did not answer: ${reason}\nasked for: ${requests.join(" ")}`);
    };
    const tooLate = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const body = await Promise.race([
      answered,
      browser.ended.then(failed),
      tooLate.then(() => failed(`it took more than ${timeoutMs} ms.`)),
    ]);
    const { value, error } = JSON.parse(body) as { value: T; error?: string };
    if (error !== undefined) throw new Error(`pages/${script}: ${error}`);
    return { value, requests, browser: { pid: browser.pid, folder: browser.folder } };
  } finally {
    clearTimeout(timer);
    await browser?.close();
    server.close();
    server.closeAllConnections();
  }
}

function pageText(script: string, params: unknown): string {
  return `<!doctype html><title>${script}</title><script type="module">
    const post = (result) => fetch("/answer", { method: "POST", body: JSON.stringify(result) });
    try {
      const { run } = await import("/pages/${script}");
      await post({ value: await run(${JSON.stringify(params)}) });
    } catch (error) {
      await post({ error: String(error?.stack ?? error) });
    }
  </script>`;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  page: string,
  answer: (body: string) => void,
): Promise<void> {
  // The parser has resolved every "..", so the path cannot leave its folder.
  const { pathname } = new URL(request.url ?? "", "http://127.0.0.1");
  if (request.method === "POST") {
    let body = "";
    for await (const part of request.setEncoding("utf8")) body += part;
    response.end();
    answer(body);
    return;
  }
  if (pathname === "/") {
    response.setHeader("Content-Type", "text/html; charset=utf-8").end(page);
    return;
  }
  const [, first, ...rest] = pathname.split("/");
  const type = TYPES[extname(pathname)];
  const bytes =
    first in FOLDERS && type !== undefined
      ? await readFile(join(FOLDERS[first], ...rest)).catch(() => undefined)
      : undefined;
  if (bytes === undefined) response.writeHead(404).end();
  else response.setHeader("Content-Type", type).end(bytes);
}
