import { once } from "node:events";
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type S3Operation, s3Operation } from "./s3_operation.js";

/** Errors of S3 by name, with the status that S3 gives them. */
const STATUSES = {
  AccessDenied: 403,
  BadDigest: 400,
  ConditionalRequestConflict: 409,
  EntityTooSmall: 400,
  ExpiredToken: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidPart: 400,
  InvalidRequest: 400,
  MethodNotAllowed: 405,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NotImplemented: 501,
  PermanentRedirect: 301,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  RequestTimeout: 400,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
} as const;

export type S3ErrorCode = keyof typeof STATUSES;

/** What goes wrong with a request. */
export type Fault =
  /**
   * Answered with an error of S3 and not passed on. With `early`, a client that asks before it sends a body never gets
   * to send it.
   */
  | { readonly refuse: S3ErrorCode; readonly early?: boolean; readonly headers?: Readonly<Record<string, string>> }
  /** Answered with a bare status and not passed on: what something in between says that knows no S3. */
  | { readonly status: number }
  /** Not passed on; 200 with an error as its body, as S3 answers a CompleteMultipartUpload that goes wrong late. */
  | { readonly errorIn200: S3ErrorCode }
  /** The connection is reset before the body is read; the server hears nothing of it. */
  | "resetBefore"
  /** Passed on, and the connection reset once the server has answered: failed for the client, and landed. */
  | "resetAfter"
  /** Passed on, never answered; the connection stays until the client, `down` or `stop` ends it. */
  | "dropAnswer"
  /** Passed on with one bit of the body turned. */
  | "corrupt"
  /** The server gets so many bytes of the body and then loses the connection; so does the client. */
  | { readonly truncate: number }
  /** Passed on; the client gets so many bytes of the answer's body and then loses the connection. */
  | { readonly cutAnswer: number }
  /** Waits, and then does as `next` says; passes it on where that says nothing. */
  | { readonly delayMs: number; readonly next?: Fault };

export interface S3Request extends S3Operation {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** How many requests of this operation there have been since the plan was set, this one included. */
  readonly n: number;
}

export type FaultPlan = (request: S3Request) => Fault | undefined;

export interface S3LogEntry extends Omit<S3Operation, "query"> {
  readonly query: string;
  readonly n: number;
  /** Those that say something of the object or of the conditions; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fault: Fault | undefined;
  /** Of the body as the client sent it; 0 while it is under way. */
  bodyBytes: number;
  /** What the server said. undefined until it answers, or where it never does. */
  serverStatus: number | undefined;
  /** What the client was told. undefined while, or where, it has heard nothing. */
  status: number | undefined;
}

const KEPT_AMZ = "x-amz-(checksum-|meta-|content-sha256$|sdk-checksum|mp-object-size|decoded-|trailer)";
const KEPT_HEADERS = new RegExp(`^(${KEPT_AMZ}|if-|content-(md5|type|encoding)$|range$|host$)`);
/** They belong to one connection, and are not signed. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "proxy-connection", "expect"]);
/** Longer than any test, so that a connection lost is one that a fault has cut. */
const KEEP_ALIVE_MS = 120_000;

/**
 * Stands between a client and an S3 server on this machine, and does to requests what a plan says. Clients talk to
 * `endpoint`. The server gets what they have sent, Host header included, so that signatures stay good. Bodies are
 * passed on once they are whole.
 */
export class S3Proxy {
  /** Every request since the start or `clear`, in the order in which they came. */
  readonly log: S3LogEntry[] = [];
  readonly endpoint: string;
  readonly #target: URL;
  readonly #server: Server;
  readonly #port: number;
  readonly #stopped = new AbortController();
  #plan: FaultPlan;
  readonly #counts = new Map<string, number>();
  readonly #inFlight = new Map<string, { now: number; most: number }>();

  private constructor(target: string, plan: FaultPlan, server: Server) {
    this.#target = new URL(target);
    this.#plan = plan;
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    this.endpoint = `http://127.0.0.1:${this.#port}`;
  }

  /** `target` is the server's endpoint. Without a plan everything is passed on. */
  static async start(target: string, plan: FaultPlan = () => undefined): Promise<S3Proxy> {
    const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 });
    await listen(server, 0);
    const proxy = new S3Proxy(target, plan, server);
    const handle = (request: IncomingMessage, response: ServerResponse) => void proxy.#handle(request, response);
    server.on("request", handle);
    // Otherwise Node would ask for the body before a plan has been asked.
    server.on("checkContinue", handle);
    return proxy;
  }

  /** From the next request on; the counts start again. */
  setPlan(plan: FaultPlan): void {
    this.#plan = plan;
    this.#counts.clear();
  }

  /** Forgets the log and the most requests at once. */
  clear(): void {
    this.log.length = 0;
    for (const seen of this.#inFlight.values()) seen.most = seen.now;
  }

  /** The log's requests of one operation. */
  requests(operation: string): S3LogEntry[] {
    return this.log.filter((entry) => entry.operation === operation);
  }

  /** The most requests that were under way at once, of one operation or of all. */
  maxInFlight(operation = "all"): number {
    return this.#inFlight.get(operation)?.most ?? 0;
  }

  /** Nobody listens any more, and every connection is closed. */
  async down(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Listens again after `down`. */
  up(): Promise<void> {
    return listen(this.#server, this.#port);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    if (this.#server.listening) await this.down();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method!;
    const seen = s3Operation(method, request.url!, request.headers);
    const n = (this.#counts.get(seen.operation) ?? 0) + 1;
    this.#counts.set(seen.operation, n);
    const fault = this.#plan({ ...seen, method, headers: request.headers, n });
    const { operation, bucket, key, query } = seen;
    const headers = Object.fromEntries(
      Object.entries(request.headers).flatMap(([name, value]) =>
        KEPT_HEADERS.test(name) ? [[name, String(value)]] : [],
      ),
    );
    const entry: S3LogEntry = {
      ...{ operation, bucket, key, query: query.toString(), n, headers, fault },
      ...{ bodyBytes: 0, serverStatus: undefined, status: undefined },
    };
    this.log.push(entry);
    this.#begin(operation, response);
    try {
      await this.#carryOut(fault, entry, request, response);
    } catch {
      // The client has gone, or the server has, or the proxy is told to stop.
      request.socket.destroy();
    }
  }

  #begin(operation: string, response: ServerResponse): void {
    for (const name of ["all", operation]) {
      const seen = this.#inFlight.get(name) ?? { now: 0, most: 0 };
      this.#inFlight.set(name, seen);
      seen.now++;
      seen.most = Math.max(seen.most, seen.now);
      response.once("close", () => seen.now--);
    }
  }

  async #carryOut(
    fault: Fault | undefined,
    entry: S3LogEntry,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (typeof fault === "object" && "delayMs" in fault) {
      await sleep(fault.delayMs, undefined, { signal: this.#stopped.signal });
      await this.#carryOut(fault.next, entry, request, response);
      return;
    }
    if (fault === "resetBefore") {
      request.socket.resetAndDestroy();
      return;
    }
    const asks = request.headers.expect !== undefined;
    if (asks && typeof fault === "object" && "refuse" in fault && fault.early) {
      // A body that comes all the same would be taken for the next request.
      response.setHeader("connection", "close");
      refuse(response, entry, STATUSES[fault.refuse], fault.refuse, fault.headers);
      return;
    }
    if (asks) response.writeContinue();
    const body = await readAll(request);
    entry.bodyBytes = body.length;
    if (typeof fault === "object") {
      if ("refuse" in fault) return refuse(response, entry, STATUSES[fault.refuse], fault.refuse, fault.headers);
      if ("errorIn200" in fault) return refuse(response, entry, 200, fault.errorIn200);
      if ("status" in fault) return refuse(response, entry, fault.status);
      if ("truncate" in fault) {
        await this.#sendPart(request, body, fault.truncate);
        request.socket.resetAndDestroy();
        return;
      }
    }
    if (fault === "corrupt" && body.length > 0) body[body.length >> 1] ^= 1;
    const answer = await this.#forward(request, body);
    entry.serverStatus = answer.status;
    if (fault === "dropAnswer" || request.socket.destroyed) return;
    if (fault === "resetAfter") {
      request.socket.resetAndDestroy();
      return;
    }
    entry.status = answer.status;
    response.writeHead(answer.status, answer.statusText, answer.headers);
    if (typeof fault === "object" && "cutAnswer" in fault) {
      response.write(answer.body.subarray(0, fault.cutAnswer), () => request.socket.destroy());
    } else response.end(answer.body);
  }

  #toServer(request: IncomingMessage): ClientRequest {
    const onward = httpRequest({
      host: this.#target.hostname,
      port: this.#target.port,
      method: request.method,
      path: request.url,
      headers: withoutHops(request.rawHeaders),
      setHost: false,
      // A connection of its own: no request of a test depends on what became of another one's.
      agent: false,
      signal: this.#stopped.signal,
    });
    // A server may answer before it has read the body, and then close: the answer counts.
    onward.on("error", () => {});
    return onward;
  }

  /** The server's whole answer. */
  async #forward(request: IncomingMessage, body: Uint8Array) {
    const onward = this.#toServer(request);
    const answered = once(onward, "response");
    onward.end(body);
    const [answer] = (await answered) as [IncomingMessage];
    const bytes = await readAll(answer);
    const headers = withoutHops(answer.rawHeaders, "transfer-encoding");
    if (answer.headers["transfer-encoding"] !== undefined) headers.push("content-length", String(bytes.length));
    return { status: answer.statusCode!, statusText: answer.statusMessage!, headers, body: bytes };
  }

  async #sendPart(request: IncomingMessage, body: Uint8Array, byteLength: number): Promise<void> {
    const onward = this.#toServer(request);
    onward.flushHeaders();
    // The headers promise more than this.
    await new Promise<void>((resolve) => onward.write(body.subarray(0, byteLength), () => resolve()));
    onward.destroy();
    await once(onward, "close");
  }
}

async function listen(server: Server, port: number): Promise<void> {
  const listening = once(server, "listening");
  server.listen(port, "127.0.0.1");
  await listening;
}

async function readAll(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part);
  return Buffer.concat(parts);
}

/** Names and values by turns, as `rawHeaders` has them. */
function withoutHops(raw: readonly string[], also?: string): string[] {
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase();
    if (!HOP_BY_HOP.has(name) && name !== also) kept.push(raw[i], raw[i + 1]);
  }
  return kept;
}

function refuse(
  response: ServerResponse,
  entry: S3LogEntry,
  status: number,
  code?: S3ErrorCode,
  headers: Readonly<Record<string, string>> = {},
): void {
  const xml =
    code === undefined
      ? ""
      : `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>injected: ${code}</Message>` +
        "<RequestId>INJECTED</RequestId></Error>";
  entry.status = status;
  response.writeHead(status, { "content-type": "application/xml", "x-amz-request-id": "INJECTED", ...headers });
  response.end(xml);
}
