import type { S3Api, UploadName } from "./s3_api.js";

/** A place below another one: the same connections, with a prefix before every key. Closing it does nothing. */
export function prefixedApi(api: S3Api, prefix: string): S3Api {
  const full = (key: string): string => `${prefix}/${key}`;
  const upload = <T extends UploadName>(name: T): T => ({ ...name, key: full(name.key) });
  const bare = <T extends { readonly key: string }>(object: T): T => ({
    ...object,
    key: object.key.slice(prefix.length + 1),
  });
  return {
    location: `${api.location}/${prefix}`,
    putObject: (key, body, about) => api.putObject(full(key), body, about),
    createUpload: (key, about) => api.createUpload(full(key), about),
    uploadPart: (name, partNumber, body, about) => api.uploadPart(upload(name), partNumber, body, about),
    completeUpload: (name, parts, about) => api.completeUpload(upload(name), parts, about),
    abortUpload: (name, about) => api.abortUpload(upload(name), about),
    async *listUploads(keys, about) {
      for await (const found of api.listUploads(full(keys), about)) yield bare(found);
    },
    head: (key) => api.head(full(key)),
    get: (key, range) => api.get(full(key), range),
    async *list(keys, limit) {
      for await (const found of api.list(full(keys), limit)) yield bare(found);
    },
    remove: (keys, about) => api.remove(keys.map(full), about),
    headBucket: () => api.headBucket(),
    close() {},
  };
}
