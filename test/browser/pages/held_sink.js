// A sink of a page's own whose writes stand at a gate, for moduleSink: same thread, so a test and the sink share this
// module.

let open = () => {};
let gate = Promise.resolve();
/** How many writes have come to the gate. */
export const arrived = { count: 0 };

export function closeGate() {
  gate = new Promise((resolve) => {
    open = resolve;
  });
}

export const openGate = () => open();

export default () => ({
  kind: "held",
  location: "held",
  async open() {},
  async openShard() {
    return {
      async write() {
        arrived.count++;
        await gate;
      },
      async seal() {},
      async abandon() {},
    };
  },
  async putObject() {},
  async close() {},
});
