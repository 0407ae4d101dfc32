import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/base/errors.js";
import type { Finding } from "../../../src/cli/finding.js";
import { probeBucket } from "../../../src/cli/s3_probe.js";
import { checkS3Options } from "../../../src/s3/s3_options.js";
import { openSdkApi } from "../../../src/s3/sdk_api.js";
import { FakeS3, type S3Call } from "../../helpers/fake_s3.js";

const OPTIONS = { where: "s3://fake/store at home", id: "1", checksum: "crc32" } as const;
const STEPS = [
  "S3 bucket",
  "S3 list",
  "S3 put",
  "S3 checksum",
  "S3 condition",
  "S3 multipart",
  "S3 unfinished",
  "S3 get",
  "S3 range",
  "S3 delete",
];

const states = (findings: readonly Finding[]) => findings.map(({ name, state }) => `${name}: ${state}`);

const denied = ({ method, key }: S3Call) =>
  new MillraceError("S3_ACCESS_DENIED", `${method} on ${key} failed.`, { hint: "Ask for it." });

describe("probeBucket", () => {
  it("takes every step in a good bucket, and leaves nothing", async () => {
    const fake = new FakeS3();
    fake.objects.set("c/0", { bytes: new Uint8Array(1), metadata: {} });
    const touched = new Set<string>();
    fake.before = ({ method, key }) => {
      if (method !== "list" && key !== "") touched.add(key);
    };
    const findings = await probeBucket(fake, OPTIONS);
    // The fake compares no checksums.
    expect(states(findings)).toEqual(STEPS.map((name) => `${name}: ${name === "S3 checksum" ? "absent" : "ok"}`));
    expect(findings[0].detail).toBe("s3://fake/store at home is there");
    expect(findings[1].detail).toContain("c/0");
    expect([fake.keys(), fake.uploads.size]).toEqual([["c/0"], 0]);
    for (const key of touched) expect(key).toMatch(/^\.millrace\/doctor-1/);
  });

  it.each(STEPS.map((_, i) => i + 1))("leaves nothing when call %i of each kind is the first to fail", async (nth) => {
    for (const method of ["putObject", "createUpload", "uploadPart", "completeUpload", "head", "get"] as const) {
      for (const when of ["before", "after"] as const) {
        const fake = new FakeS3();
        let seen = 0;
        fake[when] = (call) => {
          if (call.method !== method || ++seen !== nth) return;
          throw when === "before" ? denied(call) : new MillraceError("S3_UNREACHABLE", "no answer.");
        };
        const findings = await probeBucket(fake, OPTIONS);
        expect([fake.keys(), fake.uploads.size], `${method} ${when} ${nth}`).toEqual([[], 0]);
        if (seen >= nth) {
          expect(findings.at(-1)).toMatchObject({ state: "bad", code: expect.stringMatching(/^S3_/) });
          expect(findings.slice(0, -1).filter(({ state }) => state === "bad")).toEqual([]);
        }
      }
    }
  });

  it("tells the hint apart from what happened", async () => {
    const fake = new FakeS3();
    fake.before = (call) => {
      if (call.method === "putObject") throw denied(call);
    };
    const findings = await probeBucket(fake, OPTIONS);
    expect(findings.at(-1)).toEqual({
      name: "S3 put",
      state: "bad",
      detail: "putObject on .millrace/doctor-1 failed.",
      fix: "Ask for it.",
      code: "S3_ACCESS_DENIED",
    });
    // It was refused, so there is nothing to remove.
    expect(fake.calls.map(({ method }) => method)).not.toContain("remove");
  });

  it("says what it could not remove", async () => {
    const fake = new FakeS3();
    fake.before = (call) => {
      if (call.method === "remove" || call.method === "abortUpload") throw denied(call);
    };
    const findings = await probeBucket(fake, OPTIONS);
    expect(states(findings.slice(-3))).toEqual(["S3 unfinished: bad", "S3 clean-up: bad", "S3 clean-up: bad"]);
    expect(findings.at(-2)?.detail).toMatch(/^the upload u2 of \.millrace\/doctor-1-unfinished may be left/);
    for (const key of fake.keys()) expect(findings.at(-1)?.fix).toContain(key);
  });

  it("removes an upload whose id never arrived", async () => {
    const fake = new FakeS3();
    fake.after = ({ method }) => {
      if (method === "createUpload") throw new MillraceError("S3_UNREACHABLE", "no answer.");
    };
    expect((await probeBucket(fake, OPTIONS)).at(-1)).toMatchObject({ name: "S3 multipart", code: "S3_UNREACHABLE" });
    expect(fake.uploads.size).toBe(0);
  });

  it("goes on without what Millrace can do without", async () => {
    const fake = new FakeS3();
    fake.before = ({ method }) => {
      if (method === "listUploads" || method === "abortUpload") throw new MillraceError("S3_UNSUPPORTED", "501.");
    };
    const put = fake.putObject.bind(fake);
    fake.putObject = (key, body, { ifAbsent, ...about }) => put(key, body, about);
    const findings = await probeBucket(fake, OPTIONS);
    expect(states(findings)).toEqual(
      STEPS.map((name) => `${name}: ${/checksum|condition|unfinished/.test(name) ? "absent" : "ok"}`),
    );
    expect(findings[6].fix).toContain("lifecycle");
  });

  it("finds wrong bytes", async () => {
    const fake = new FakeS3();
    const get = fake.get.bind(fake);
    fake.get = async (key, range) => await get(key, range && "offset" in range ? { ...range, offset: 0 } : range);
    expect((await probeBucket(fake, OPTIONS)).at(-1)).toMatchObject({
      name: "S3 range",
      state: "bad",
      detail: "a range was read as 300 bytes, expected 300 certain bytes.",
    });
  });

  it.each([
    ["a wrong key", "S3_CREDENTIALS", "S3 bucket: bad"],
    ["nothing", undefined, "S3 bucket: ok"],
  ] as const)("asks a list for the reason where HeadBucket gives none: %s", async (_what, code, expected) => {
    const fake = new FakeS3();
    fake.before = (call) => {
      if (call.method === "headBucket") throw denied(call);
      if (call.method === "list" && code !== undefined) throw new MillraceError(code, "list said so.");
    };
    const [first] = await probeBucket(fake, OPTIONS);
    expect(states([first])).toEqual([expected]);
    expect(first.code).toBe(code);
  });

  it("leaves checksums out where there are none, and stops between steps at a signal", async () => {
    expect(states(await probeBucket(new FakeS3(), { ...OPTIONS, checksum: "none" }))).toEqual(
      STEPS.filter((name) => name !== "S3 checksum").map((name) => `${name}: ok`),
    );
    const fake = new FakeS3();
    const controller = new AbortController();
    fake.after = ({ method }) => {
      if (method === "putObject") controller.abort();
    };
    expect(states(await probeBucket(fake, { ...OPTIONS, signal: controller.signal }))).toEqual(
      STEPS.slice(0, 3).map((name) => `${name}: ok`),
    );
    expect(fake.keys()).toEqual([]);
  });

  it("sends damaged bytes under a good checksum, through the SDK", async () => {
    const puts: string[] = [];
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      const body = Buffer.concat(parts);
      const sum = Buffer.alloc(4);
      sum.writeUInt32BE(crc32(body));
      if (request.method === "PUT") {
        const good = request.headers["x-amz-checksum-crc32"] === sum.toString("base64");
        puts.push(good ? "good" : "damaged");
        const code = good ? (request.headers["if-none-match"] === "*" ? 412 : 200) : 400;
        response.writeHead(code).end(code === 400 ? "<Error><Code>BadDigest</Code></Error>" : "");
      } else if (request.method === "GET") response.end("<ListBucketResult></ListBucketResult>");
      else if (request.url?.includes("uploads"))
        response.writeHead(403).end("<Error><Code>AccessDenied</Code></Error>");
      else response.end("<DeleteResult></DeleteResult>");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credentials = { accessKeyId: "a", secretAccessKey: "b" };
    const api = await openSdkApi(checkS3Options("test", { bucket: "b", endpoint, credentials, maxAttempts: 1 }), 2);
    try {
      const findings = await probeBucket(api, OPTIONS);
      expect(states(findings)).toEqual([...STEPS.slice(0, 5).map((name) => `${name}: ok`), "S3 multipart: bad"]);
      expect(findings[3].detail).toContain("BadDigest");
      expect(puts).toEqual(["good", "damaged", "good"]);
    } finally {
      api.close();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
