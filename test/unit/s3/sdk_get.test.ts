import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { deferred } from "../../../src/base/deferred.js";
import type { S3Api } from "../../../src/s3/s3_api.js";
import { checkS3Options } from "../../../src/s3/s3_options.js";
import { openSdkApi } from "../../../src/s3/sdk_api.js";

const OBJECT = Buffer.from(Uint8Array.from({ length: 100 }, (_, i) => i));

let server: Server | undefined;
let api: S3Api | undefined;
afterEach(async () => {
  api?.close();
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
});

/** A server that answers with `answer`, and a client of it. `requests` are their Range headers. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse, nth: number) => void) {
  const requests: (string | undefined)[] = [];
  server = createServer((request, response) => answer(request, response, requests.push(request.headers.range)));
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  const place = checkS3Options("test", {
    bucket: "b",
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    maxAttempts: 3,
    idleTimeoutMs: 300,
  });
  api = await openSdkApi(place, 4);
  return { api, requests };
}

/** Bytes `from` up to, not including, `to`, said to be just that. */
function part(response: ServerResponse, from: number, to: number): ServerResponse {
  const headers = { "content-length": to - from, "content-range": `bytes ${from}-${to - 1}/${OBJECT.length}` };
  return response.writeHead(206, headers);
}

it.each<[string, (api: S3Api) => Promise<unknown>]>([
  ["head", (api) => api.head("k")],
  ["get", (api) => api.get("k")],
  ["list", async (api) => await api.list("")[Symbol.asyncIterator]().next()],
  ["headBucket", (api) => api.headBucket()],
])("[s3-close] close ends a %s that is never answered, and it is not asked again", async (_name, read) => {
  const arrived = deferred();
  const { api, requests } = await serve(() => arrived.resolve());
  const failed = read(api).catch((error) => error.code);
  await arrived.promise;
  api.close();
  expect(await failed).toBe("WRITER_ABORTED");
  expect(requests).toHaveLength(1);
});

describe("get", () => {
  it.each<[string, (response: ServerResponse) => void]>([
    ["breaks off", (response) => response.write(OBJECT.subarray(0, 5), () => response.destroy())],
    ["comes to a halt", (response) => response.write(OBJECT.subarray(0, 5))],
  ])("asks again where an answer %s", async (_what, spoil) => {
    const { api, requests } = await serve((_request, response, nth) => {
      part(response, 10, 20);
      if (nth < 3) spoil(response);
      else response.end(OBJECT.subarray(10, 20));
    });
    expect(await api.get("k", { offset: 10, length: 10 })).toEqual(new Uint8Array(OBJECT.subarray(10, 20)));
    expect(requests).toEqual(Array(3).fill("bytes=10-19"));
  });

  it("gives up after as many attempts as the place has, and at once when it is closed", async () => {
    const { api, requests } = await serve((_request, response) => {
      part(response, 0, 100).write(OBJECT.subarray(0, 5), () => response.destroy());
    });
    await expect(api.get("k")).rejects.toMatchObject({ code: "S3_UNREACHABLE", context: { key: "k" } });
    expect(requests).toHaveLength(3);
    api.close();
    await expect(api.get("k")).rejects.toMatchObject({ code: "S3_UNREACHABLE" });
    expect(requests).toHaveLength(4);
  });

  it("has a range of an object from a server that knows no ranges", async () => {
    const { api } = await serve((_request, response) => {
      response.writeHead(200, { "content-length": 100 }).end(OBJECT);
    });
    expect(await api.get("k", { offset: 80, length: 200 })).toEqual(new Uint8Array(OBJECT.subarray(80)));
    expect(await api.get("k", { offset: 5, length: 2 })).toEqual(Uint8Array.of(5, 6));
  });

  it.each([
    ["NoSuchKey", undefined],
    ["NoSuchBucket", "S3_NO_BUCKET"],
    ["XAdminUserNotFound", "S3_CREDENTIALS"],
  ])("takes 404 %s for %s", async (s3Code, code) => {
    const { api } = await serve((_request, response) => {
      response.writeHead(404).end(`<Error><Code>${s3Code}</Code><Message>no</Message></Error>`);
    });
    if (code === undefined) expect(await api.get("k")).toBeUndefined();
    else await expect(api.get("k")).rejects.toMatchObject({ code });
  });
});
