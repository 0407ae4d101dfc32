// s3rver inside this process, with the storage below in place of its own.
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { access, mkdir, rename, rm, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import S3rver from "@20minutes/s3rver";
import S3Error from "@20minutes/s3rver/lib/models/error.js";
import FilesystemStore from "@20minutes/s3rver/lib/stores/filesystem.js";

/** Longer than any test, so that a connection lost is one that a test has cut. */
const KEEP_ALIVE_MS = 120_000;

/**
 * s3rver writes into the file that readers read, so that an upload cut short leaves a torn object, which no S3 does; a
 * part that is not there ends its process; deletes side by side take folders away from each other and from new objects.
 * What is put right here is what tests would fail on now and then, or stay silent about. What it plainly cannot do is
 * left alone, and said in `features`.
 */
class WholeObjectStore extends FilesystemStore {
  #incoming;
  /** The last step under way for an object: the next one waits for it. */
  #turns = new Map();

  constructor(objects, incoming) {
    super(objects);
    this.#incoming = incoming;
  }

  /** The body goes beside the bucket first; only a whole one gets a name. */
  async #receive(content) {
    const path = join(this.#incoming, randomUUID());
    try {
      const [size, md5] = await super.putContent(path, content);
      return { path, size, md5 };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** An object is three files: whoever looks at it must not see one of an old version and one of a new one. */
  async #inTurn(bucket, key, step) {
    const name = `${bucket}/${key}`;
    const before = this.#turns.get(name);
    const turn = (async () => {
      await before?.catch(() => {});
      return await step();
    })();
    this.#turns.set(name, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(name) === turn) this.#turns.delete(name);
    }
  }

  async putObject(object) {
    const { path, size, md5 } = await this.#receive(object.content);
    const place = this.getResourcePath(object.bucket, object.key, "object");
    await this.#inTurn(object.bucket, object.key, async () => {
      await mkdir(dirname(place), { recursive: true });
      await rename(path, place);
      await this.putMetadata(object.bucket, object.key, object.metadata, md5);
    });
    return { size, md5 };
  }

  getObject(bucket, key, options) {
    // Only up to the open file: it goes on being the version that it was.
    return this.#inTurn(bucket, key, () => super.getObject(bucket, key, options));
  }

  deleteObject(bucket, key) {
    const resources = ["object", "object.md5", "metadata.json"];
    // Empty folders stay. Nobody sees them, and a new object may be on its way into one.
    return this.#inTurn(bucket, key, async () => {
      for (const resource of resources) await unlink(this.getResourcePath(bucket, key, resource)).catch(unlessMissing);
    });
  }

  async listObjects(bucket, options) {
    for (let tries = 1; ; tries++) {
      try {
        return await super.listObjects(bucket, options);
      } catch (error) {
        // It looks at each name after it has read them all, and one may be gone by then.
        if (error.code !== "ENOENT" || tries === 10) throw error;
      }
    }
  }

  #uploadFolder(bucket, uploadId) {
    return join(this.getResourcePath(bucket, undefined, "uploads"), uploadId);
  }

  async #checkUpload(bucket, uploadId) {
    if (await isThere(join(this.#uploadFolder(bucket, uploadId), "metadata"))) return;
    throw new S3Error("NoSuchUpload", "The specified upload does not exist.", { UploadId: uploadId });
  }

  async putPart(bucket, uploadId, partNumber, content) {
    await this.#checkUpload(bucket, uploadId);
    const { path, size, md5 } = await this.#receive(content);
    const place = join(this.#uploadFolder(bucket, uploadId), String(partNumber));
    await rename(path, place);
    await writeFile(`${place}.md5`, md5);
    return { size, md5 };
  }

  async putObjectMultipart(bucket, uploadId, parts) {
    await this.#checkUpload(bucket, uploadId);
    for (const { number } of parts) {
      if (await isThere(join(this.#uploadFolder(bucket, uploadId), String(number)))) continue;
      throw new S3Error("InvalidPart", "One or more of the specified parts could not be found.", {
        PartNumber: number,
      });
    }
    return await super.putObjectMultipart(bucket, uploadId, parts);
  }
}

function unlessMissing(error) {
  if (error.code !== "ENOENT") throw error;
}

function isThere(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

export async function start({ folder, port, bucket }) {
  const objects = join(folder, "objects");
  const incoming = join(folder, "incoming");
  await mkdir(join(objects, bucket), { recursive: true });
  await mkdir(incoming, { recursive: true });
  const app = new S3rver({
    directory: objects,
    silent: true,
    vhostBuckets: false,
    // Why: see `signatures` in servers.js.
    allowMismatchedSignatures: true,
  });
  app.store = app.context.store = new WholeObjectStore(objects, incoming);
  // Not app.run(): on some versions of Node that waits for ever where the port is taken.
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, app.callback());
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, pid: process.pid, ended: new Promise(() => {}), stop: async () => {} };
}
