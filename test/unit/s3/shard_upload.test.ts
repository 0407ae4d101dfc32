import { beforeEach, describe, expect, it, vi } from "vitest";
import { useClock } from "../../../src/base/clock.js";
import { isMillraceError } from "../../../src/base/errors.js";
import { PartPool } from "../../../src/s3/part_pool.js";
import { ShardUpload, type UploadHome } from "../../../src/s3/shard_upload.js";
import { WRITE_ID_NAME } from "../../../src/s3/write_id.js";
import { coordinateBytes } from "../../contract/sink.contract.js";
import { FakeS3, s3Failure } from "../../helpers/fake_s3.js";
import { failureOf } from "../../helpers/outcome.js";

const PART = 1000;
const KEY = "c/0/0";
const TAIL = coordinateBytes(7, 20);

let s3: FakeS3;
let home: UploadHome;
let ended: { key: string; clean: boolean }[];

beforeEach(() => {
  s3 = new FakeS3();
  s3.partBytesMin = PART;
  ended = [];
  home = {
    api: s3,
    pool: new PartPool(2),
    conditional: true,
    unreachable: false,
    lastWords: undefined,
    ended: (key, clean) => ended.push({ key, clean }),
  };
});

const begin = () => new ShardUpload(KEY, "id.1", PART, home);
const methods = () => s3.calls.map(({ method }) => method);

/** Until `done`, or a second of turns of the event loop. */
async function until(done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !done(); turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(done()).toBe(true);
}

describe("a shard's upload", () => {
  it.each([0, 1, PART - TAIL.length])("is one request for %i bytes and a tail", async (length) => {
    const upload = begin();
    const data = coordinateBytes(1, length);
    await upload.write([data]);
    await upload.seal(TAIL);
    expect(methods()).toEqual(["putObject"]);
    expect(s3.bytes(KEY)).toEqual(new Uint8Array([...data, ...TAIL]));
    expect(s3.objects.get(KEY)?.metadata).toEqual({ [WRITE_ID_NAME]: "id.1" });
    expect(ended).toEqual([{ key: KEY, clean: true }]);
  });

  it.each([PART - TAIL.length + 1, PART, 2 * PART, 3 * PART + 1, 7 * PART - TAIL.length])(
    "is parts for %i bytes and a tail, none too small but the last",
    async (length) => {
      const upload = begin();
      const data = coordinateBytes(2, length);
      for (let at = 0; at < length; at += 300) await upload.write([data.subarray(at, at + 300)]);
      await upload.seal(TAIL);
      expect(s3.bytes(KEY)).toEqual(new Uint8Array([...data, ...TAIL]));
      expect(methods().filter((method) => method === "uploadPart")).toHaveLength(
        Math.ceil((length + TAIL.length) / PART),
      );
      expect(s3.uploads.size).toBe(0);
      expect(s3.objects.get(KEY)?.metadata).toEqual({ [WRITE_ID_NAME]: "id.1" });
    },
  );

  it("frees the caller's memory at once, and sends from its own", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    s3.before = ({ method }) => (method === "uploadPart" ? held : undefined);
    const upload = begin();
    const slot = new Uint8Array(new SharedArrayBuffer(2 * PART));
    slot.set(coordinateBytes(3, 2 * PART));
    const expected = slot.slice();
    await upload.write([slot]);
    slot.fill(0xee);
    release();
    await upload.seal(TAIL);
    expect(s3.bytes(KEY)).toEqual(new Uint8Array([...expected, ...TAIL]));
  });

  it("sends as many parts at once as there are connections, and then makes the writer wait", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    s3.before = ({ method }) => (method === "uploadPart" ? held : undefined);
    const upload = begin();
    let written = false;
    // Two on their way and one that fills; the fourth has no memory.
    await upload.write([coordinateBytes(4, 3 * PART)]);
    const writing = upload.write([coordinateBytes(5, 1)]).then(() => {
      written = true;
    });
    await until(() => s3.sending === 2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(false);
    release();
    await writing;
    await upload.seal(TAIL);
    expect(s3.sendingMax).toBe(2);
    expect(s3.bytes(KEY)?.byteLength).toBe(3 * PART + 1 + TAIL.length);
  });

  it("reports a part that failed at the next call, sends no more, and leaves nothing behind", async () => {
    s3.before = (call) => {
      if (call.method === "uploadPart") throw s3Failure("S3_SERVER_ERROR", call);
    };
    const upload = begin();
    await upload.write([coordinateBytes(6, PART)]);
    await upload.write([coordinateBytes(6, 1)]);
    await until(() => methods().includes("uploadPart"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isMillraceError(await failureOf(upload.write([TAIL])), "S3_SERVER_ERROR")).toBe(true);
    expect(isMillraceError(await failureOf(upload.seal(TAIL)), "S3_SERVER_ERROR")).toBe(true);
    await upload.abandon();
    await upload.abandon();
    expect(s3.uploads.size).toBe(0);
    expect(s3.objects.size).toBe(0);
    expect(ended).toEqual([{ key: KEY, clean: true }]);
  });

  it("keeps an upload that was refused while its parts wait for a connection, until it is asked", async () => {
    s3.before = (call) => {
      if (call.method === "createUpload") throw s3Failure("S3_ACCESS_DENIED", call);
    };
    let release = () => {};
    const busy = new Promise<void>((resolve) => {
      release = resolve;
    });
    const others = [1, 2].map(() => home.pool.send(() => busy));
    const upload = begin();
    await upload.write([coordinateBytes(6, 2 * PART)]);
    // A rejection that nobody has seen by now would end the process.
    await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    await Promise.all(others);
    expect(isMillraceError(await failureOf(upload.seal(TAIL)), "S3_ACCESS_DENIED")).toBe(true);
    await upload.abandon();
  });

  it("wakes a writer that waits for memory when the link fails", async () => {
    let fail = (_: Error) => {};
    const lost = new Promise<void>((_, reject) => {
      fail = reject;
    });
    lost.catch(() => {});
    s3.before = ({ method }) => (method === "uploadPart" ? lost : undefined);
    const upload = begin();
    const writing = failureOf(upload.write([coordinateBytes(6, 9 * PART)]));
    await until(() => s3.sending === 2);
    fail(s3Failure("S3_UNREACHABLE", s3.calls[0]));
    expect(isMillraceError(await writing, "S3_UNREACHABLE")).toBe(true);
    await upload.abandon();
    expect(s3.uploads.size).toBe(0);
  });

  it.each(["putObject", "completeUpload"] as const)(
    "takes a %s whose answer was lost for what it is",
    async (method) => {
      s3.after = (call) => {
        if (call.method === method) throw s3Failure("S3_UNREACHABLE", call);
      };
      const upload = begin();
      await upload.write([coordinateBytes(8, method === "putObject" ? 10 : 2 * PART)]);
      await upload.seal(TAIL);
      expect(ended).toEqual([{ key: KEY, clean: true }]);
    },
  );

  it("takes the second attempt's NoSuchUpload for the first one's success", async () => {
    s3.before = (call) => {
      if (call.method !== "completeUpload") return;
      // The first attempt, whose answer was lost inside the client.
      const [stored] = s3.uploads.values();
      s3.uploads.clear();
      const bytes = new Uint8Array(Buffer.concat([...stored.parts.values()]));
      s3.objects.set(KEY, { bytes, metadata: stored.metadata });
    };
    const upload = begin();
    await upload.write([coordinateBytes(8, 2 * PART)]);
    await upload.seal(TAIL);
    expect(s3.bytes(KEY)?.byteLength).toBe(2 * PART + TAIL.length);
  });

  it("waits for an attempt that is still at work (409)", async () => {
    const undo = useClock({ nowNs: () => 0, wallMs: () => 0, sleep: async () => {} });
    try {
      let looks = 0;
      s3.before = (call) => {
        if (call.method === "putObject")
          throw Object.assign(s3Failure("S3_SERVER_ERROR", call), { context: { status: 409 } });
        if (call.method !== "head" || ++looks < 3) return;
        const bytes = new Uint8Array([1, ...TAIL]);
        s3.objects.set(KEY, { bytes, metadata: { [WRITE_ID_NAME]: "id.1" } });
      };
      const upload = begin();
      await upload.write([new Uint8Array([1])]);
      await upload.seal(TAIL);
      expect(looks).toBe(3);
    } finally {
      undo();
    }
  });

  it("does not replace an object that somebody else has put there", async () => {
    const foreign = { bytes: new Uint8Array([1, ...TAIL]), metadata: { [WRITE_ID_NAME]: "id.2" } };
    s3.objects.set(KEY, foreign);
    const upload = begin();
    await upload.write([new Uint8Array([1])]);
    expect(isMillraceError(await failureOf(upload.seal(TAIL)), "S3_CONFLICT")).toBe(true);
    await upload.abandon();
    expect(s3.objects.get(KEY)).toBe(foreign);
  });

  it.each(["putObject", "completeUpload"] as const)(
    "does without the condition where the server has none on %s",
    async (method) => {
      const asked: unknown[] = [];
      const original = s3[method].bind(s3) as (...args: unknown[]) => Promise<void>;
      vi.spyOn(s3, method).mockImplementation(async (...args: unknown[]) => {
        const { ifAbsent } = args[2] as { ifAbsent: boolean };
        asked.push(ifAbsent);
        if (ifAbsent) throw s3Failure("S3_UNSUPPORTED", { method, key: KEY, index: 0 });
        await original(...args);
      });
      const upload = begin();
      await upload.write([coordinateBytes(8, method === "putObject" ? 1 : 2 * PART)]);
      await upload.seal(TAIL);
      expect(asked).toEqual([true, false]);
      expect(home.conditional).toBe(false);
      expect(s3.bytes(KEY)).toBeDefined();
    },
  );

  it("removes the twin of an upload whose first answer was lost", async () => {
    s3.createAttempts = 2;
    s3.before = ({ method }) => {
      if (method === "createUpload")
        s3.uploads.set("twin", { key: KEY, uploadId: "twin", parts: new Map(), metadata: {} });
    };
    s3.uploads.set("other", { key: `${KEY}/0`, uploadId: "other", parts: new Map(), metadata: {} });
    const upload = begin();
    await upload.write([coordinateBytes(8, 2 * PART)]);
    await upload.seal(TAIL);
    // Only under its own key: another shard's upload may be at work.
    expect([...s3.uploads.keys()]).toEqual(["other"]);
  });

  it.each(["createUpload", "uploadPart", "completeUpload", "putObject"])(
    "hurries out of a %s that is never answered",
    async (method) => {
      s3.before = (call) => (call.method === method ? new Promise(() => {}) : undefined);
      const upload = begin();
      await upload.write([coordinateBytes(8, method === "putObject" ? 1 : 2 * PART)]);
      const sealing = failureOf(upload.seal(TAIL));
      await until(() => methods().includes(method as never));
      upload.hurry();
      expect(isMillraceError(await sealing, "WRITER_ABORTED")).toBe(true);
      await upload.abandon();
      expect(s3.uploads.size).toBe(0);
      // Whether it has landed is nobody's concern any more.
      expect(methods()).not.toContain("head");
    },
  );

  it("is not clean when nobody answers any more, and the next one does not try again", async () => {
    const uploads = [begin(), new ShardUpload("c/0/1", "id.2", PART, home)];
    for (const upload of uploads) await upload.write([coordinateBytes(8, PART + 1)]);
    await until(() => s3.uploads.size === 2);
    s3.before = (call) => {
      throw s3Failure("S3_UNREACHABLE", call);
    };
    for (const upload of uploads) await upload.abandon();
    expect(ended.map(({ clean }) => clean)).toEqual([false, false]);
    expect(methods().filter((method) => method === "abortUpload")).toHaveLength(1);
  });

  it("gives its memory back, however it ends", async () => {
    const give = vi.spyOn(home.pool, "give");
    const take = vi.spyOn(home.pool, "take");
    const sealed = begin();
    await sealed.write([coordinateBytes(8, 3 * PART)]);
    await sealed.seal(TAIL);
    const abandoned = new ShardUpload("c/1", "id.3", PART, home);
    await abandoned.write([coordinateBytes(8, 3 * PART)]);
    await abandoned.abandon();
    expect(give).toHaveBeenCalledTimes(take.mock.calls.length);
  });
});
