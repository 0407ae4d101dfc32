/** A sink whose thread ends in the middle of a write, as if something had killed it. */
export default function makeDyingSink() {
  let writes = 0;
  return {
    kind: "dying",
    location: "nowhere",
    async open() {},
    async openShard() {
      return {
        async write() {
          if (++writes === 3) process.exit(7); // ends the worker, not the process
        },
        async seal() {},
        async abandon() {},
      };
    },
    async putObject() {},
    async close() {},
  };
}
