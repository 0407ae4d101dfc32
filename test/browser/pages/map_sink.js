// A sink of a page's own, for moduleSink.

/** What was sealed and put, by key. */
export const files = new Map();

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

export default () => ({
  kind: "map",
  location: "map",
  async open() {},
  async openShard(key) {
    const parts = [];
    return {
      async write(segments) {
        parts.push(joined(segments));
      },
      async seal(tail) {
        files.set(key, joined([...parts, tail]));
      },
      async abandon() {},
    };
  },
  async putObject(key, bytes) {
    files.set(key, bytes.slice());
  },
  async close() {},
});
