import { isMillraceError, MillraceError } from "../base/errors.js";
import type { S3Api, UploadName } from "../s3/s3_api.js";
import type { Finding } from "./finding.js";

interface ProbeOptions {
  /** The place and its server, in words. */
  readonly where: string;
  /** Names the probe's objects: no two probes have the same. */
  readonly id: string;
  /** Ends the probe between two steps; what it made is removed all the same. */
  readonly signal?: AbortSignal;
  /** What `api` sends with the bytes. */
  readonly checksum: "crc32" | "none";
}

/** What a step found; a step that throws has failed, and the rest of them make no sense. */
type Found = Pick<Finding, "detail"> & Partial<Pick<Finding, "state" | "fix">>;

const BODY_BYTES = 4096;
const LIFECYCLE =
  "Give the bucket a lifecycle rule that aborts incomplete multipart uploads after some days, " +
  "or they are kept and paid for.";

/**
 * Does with a bucket, in small, what writing and reading a store does. Each step is a finding: "ok"; "absent" for what
 * Millrace can do without; "bad" for what it cannot, which is the last but for what could not be removed.
 */
export async function probeBucket(api: S3Api, options: ProbeOptions): Promise<Finding[]> {
  const probe = new Probe(api, options);
  const findings: Finding[] = [];
  for (const [name, run] of probe.steps) {
    if (options.signal?.aborted) break;
    try {
      findings.push({ name, state: "ok", ...(await run()) });
    } catch (error) {
      findings.push(failedFinding(name, error));
      break;
    }
  }
  return [...findings, ...(await probe.cleanUp())];
}

/** A step that did not succeed. @throws what is no MillraceError: a bug */
export function failedFinding(name: string, error: unknown): Finding {
  if (!isMillraceError(error)) throw error;
  const { message, hint, code } = error;
  // The hint ends the message; here it has a line of its own.
  const detail = hint === undefined ? message : message.slice(0, -hint.length - 1);
  return { name, state: "bad", detail, fix: hint, code };
}

class Probe {
  readonly #key: string;
  /** Every byte of the first 256 is another, so that a range that is off by one shows. */
  readonly #body = Uint8Array.from({ length: BODY_BYTES }, (_, i) => (i + (i >> 8)) & 0xff);
  /** Objects that are, or may be, there. */
  readonly #objects = new Set<string>();
  readonly #uploads = new Set<UploadName>();
  /** An upload may have been made whose id never arrived. */
  #lostUpload = false;

  constructor(
    private readonly api: S3Api,
    private readonly options: ProbeOptions,
  ) {
    this.#key = `.millrace/doctor-${options.id}`;
  }

  /** In this order. */
  get steps(): readonly (readonly [name: string, run: () => Promise<Found>])[] {
    return [
      ["S3 bucket", () => this.#bucket()],
      ["S3 list", () => this.#list()],
      ["S3 put", () => this.#put()],
      ...(this.options.checksum === "none" ? [] : [["S3 checksum", () => this.#checksum()] as const]),
      ["S3 condition", () => this.#condition()],
      ["S3 multipart", () => this.#multipart()],
      ["S3 unfinished", () => this.#unfinished()],
      ["S3 get", () => this.#get()],
      ["S3 range", () => this.#range()],
      ["S3 delete", () => this.#delete()],
    ];
  }

  /** Removes what is left of a probe that has failed. What cannot be removed is a finding. */
  async cleanUp(): Promise<Finding[]> {
    const findings: Finding[] = [];
    const attempt = async (what: string, remove: () => Promise<void>) => {
      try {
        await remove();
      } catch (error) {
        const failed = failedFinding("S3 clean-up", error);
        findings.push({ ...failed, detail: `${what} may be left. ${failed.detail}`, fix: `Remove ${what} yourself.` });
      }
    };
    if (this.#lostUpload) {
      await attempt(`an upload of ${this.#key}…`, async () => {
        for await (const upload of this.api.listUploads(this.#key)) this.#uploads.add(upload);
      });
    }
    for (const upload of this.#uploads) {
      await attempt(`the upload ${upload.uploadId} of ${upload.key}`, () => this.api.abortUpload(upload));
    }
    const keys = [...this.#objects];
    if (keys.length > 0) await attempt(keys.join(", "), () => this.api.remove(keys));
    return findings;
  }

  async #bucket(): Promise<Found> {
    try {
      await this.api.headBucket();
    } catch (error) {
      if (isMillraceError(error, "S3_UNREACHABLE")) throw error;
      // An answer to HEAD has no body: a wrong key, or the wrong region, looks like a bucket that is denied or not
      // there.
      await this.#list();
    }
    return { detail: `${this.options.where} is there` };
  }

  async #list(): Promise<Found> {
    for await (const { key } of this.api.list("", 1)) return { detail: `allowed; holds objects already (${key} …)` };
    return { detail: "allowed; empty" };
  }

  async #put(): Promise<Found> {
    await this.#putObject(this.#key, this.#body, {});
    const withSum = this.options.checksum === "none" ? "without a checksum" : "with its CRC32";
    return { detail: `an object of ${BODY_BYTES} bytes ${withSum}` };
  }

  /**
   * The checksum is taken before putObject returns its promise, and the bytes are sent later: they change in between,
   * as in bad memory.
   */
  async #checksum(): Promise<Found> {
    const body = this.#body.slice();
    const put = this.#putObject(`${this.#key}-damaged`, body, {});
    body[0] ^= 0xff;
    try {
      await put;
    } catch (error) {
      if (!isMillraceError(error, "S3_REFUSED")) throw error;
      return {
        detail: `damaged bytes are refused (${error.context.s3Code ?? error.context.status ?? "no reason given"})`,
      };
    }
    return {
      state: "absent",
      detail: "the server does not compare: bytes damaged on their way are stored, and only `verify` finds them",
    };
  }

  async #condition(): Promise<Found> {
    try {
      await this.#putObject(this.#key, this.#body, { ifAbsent: true });
    } catch (error) {
      if (isMillraceError(error, "S3_CONFLICT")) return { detail: "If-None-Match is honoured" };
      if (!isMillraceError(error, "S3_UNSUPPORTED")) throw error;
    }
    return {
      state: "absent",
      detail: "If-None-Match is not honoured: of two writers that start on one place at the same moment, both go on",
    };
  }

  async #multipart(): Promise<Found> {
    const key = `${this.#key}-parts`;
    const upload = await this.#createUpload(key);
    const part = await this.api.uploadPart(upload, 1, this.#body);
    this.#objects.add(key);
    await this.api.completeUpload(upload, [part], {});
    this.#uploads.delete(upload);
    const head = await this.api.head(key);
    if (head?.bytes !== BODY_BYTES) throw wrong("a completed upload", `${head?.bytes ?? "no"} bytes`, `${BODY_BYTES}`);
    return { detail: "created, sent and completed" };
  }

  async #unfinished(): Promise<Found> {
    const key = `${this.#key}-unfinished`;
    const upload = await this.#createUpload(key);
    const listed = await this.#isListed(upload);
    const aborted = await this.#isAborted(upload);
    const detail = `unfinished uploads are ${listed ? "" : "not "}listed, and are ${aborted ? "" : "not "}aborted`;
    return listed && aborted ? { detail } : { state: "absent", detail, fix: LIFECYCLE };
  }

  async #isListed({ key, uploadId }: UploadName): Promise<boolean> {
    try {
      for await (const found of this.api.listUploads(key)) if (found.uploadId === uploadId) return true;
    } catch (error) {
      if (!isMillraceError(error, "S3_UNSUPPORTED")) throw error;
    }
    return false;
  }

  async #isAborted(upload: UploadName): Promise<boolean> {
    let aborted = true;
    try {
      await this.api.abortUpload(upload);
    } catch (error) {
      if (!isMillraceError(error, "S3_UNSUPPORTED")) throw error;
      aborted = false;
    }
    this.#uploads.delete(upload);
    return aborted;
  }

  async #get(): Promise<Found> {
    for (const key of [this.#key, `${this.#key}-parts`]) same(await this.api.get(key), this.#body, "an object");
    if ((await this.api.get(`${this.#key}-absent`)) !== undefined) throw wrong("an absent object", "bytes", "nothing");
    return { detail: "the bytes that were put" };
  }

  async #range(): Promise<Found> {
    const { length } = this.#body;
    const read = (range: Parameters<S3Api["get"]>[1]) => this.api.get(this.#key, range);
    same(await read({ offset: 0, length: 1 }), this.#body.subarray(0, 1), "the first byte");
    same(await read({ offset: 100, length: 300 }), this.#body.subarray(100, 400), "a range");
    same(await read({ offset: length - 5, length: 10 }), this.#body.subarray(-5), "a range that goes past the end");
    same(await read({ offset: length, length: 10 }), new Uint8Array(0), "a range behind the end");
    return { detail: "the bytes that were asked for" };
  }

  async #delete(): Promise<Found> {
    const keys = [...this.#objects];
    await this.api.remove(keys);
    for (const key of keys) if ((await this.api.head(key)) !== undefined) throw wrong("a deleted object", key, "gone");
    this.#objects.clear();
    return { detail: "the probe's objects are gone" };
  }

  async #putObject(key: string, body: Uint8Array, condition: { readonly ifAbsent?: boolean }): Promise<void> {
    const wasThere = this.#objects.has(key);
    this.#objects.add(key);
    try {
      await this.api.putObject(key, body, condition);
    } catch (error) {
      if (!mayHaveLanded(error) && !wasThere) this.#objects.delete(key);
      throw error;
    }
  }

  async #createUpload(key: string): Promise<UploadName> {
    try {
      const { uploadId, attempts } = await this.api.createUpload(key, {});
      if (attempts > 1) this.#lostUpload = true;
      const upload = { key, uploadId };
      this.#uploads.add(upload);
      return upload;
    } catch (error) {
      if (mayHaveLanded(error)) this.#lostUpload = true;
      throw error;
    }
  }
}

/** Of a request without an answer nobody knows what it did. */
function mayHaveLanded(error: unknown): boolean {
  return isMillraceError(error, "S3_UNREACHABLE") || isMillraceError(error, "S3_SERVER_ERROR");
}

function same(got: Uint8Array | undefined, expected: Uint8Array, what: string): void {
  if (got !== undefined && Buffer.compare(got, expected) === 0) return;
  throw wrong(what, got === undefined ? "nothing" : `${got.byteLength} bytes`, `${expected.byteLength} certain bytes`);
}

function wrong(what: string, got: string, expected: string): MillraceError {
  return new MillraceError("S3_UNSUPPORTED", `${what} was read as ${got}, expected ${expected}.`, {
    hint: "The server does not do what S3 does: use another one, or another version of it.",
  });
}
