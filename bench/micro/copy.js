// Copying into staging, by size: where a call into the addon begins to pay. Source and destination are walked through
// rings that no cache holds; staging is shared memory, where V8 copies word by word.
const RING_BYTES = 96 * 2 ** 20;
const SIZES = [512, 4096, 16_384, 32_768, 65_536, 262_144, 2 ** 20, 4 * 2 ** 20, 16 * 2 ** 20];

export function copyGroup(addon) {
  const source = new Uint8Array(RING_BYTES).map((_, i) => i);
  const shared = new Uint8Array(new SharedArrayBuffer(RING_BYTES)).fill(1);
  const own = new Uint8Array(RING_BYTES).fill(1);
  const region = addon?.regionAdd(shared);
  addon?.copyStart(1);
  const walk = (bytes, copy) => {
    const views = [];
    for (let at = 0; at + bytes <= RING_BYTES; at += bytes) views.push(source.subarray(at, at + bytes));
    const operations = Math.max(1, Math.min(64, Math.floor(2 ** 20 / bytes)));
    let next = 0;
    return {
      bytes,
      operations,
      run: () => {
        for (let i = 0; i < operations; i++) {
          copy(views[next], next * bytes);
          next = next + 1 === views.length ? 0 : next + 1;
        }
      },
    };
  };
  const cases = SIZES.flatMap((bytes) => [
    { title: `set into an ArrayBuffer, ${bytes} B`, ...walk(bytes, (view, at) => own.set(view, at)) },
    { title: `set into a SharedArrayBuffer, ${bytes} B`, ...walk(bytes, (view, at) => shared.set(view, at)) },
    ...(addon === undefined
      ? []
      : [
          {
            title: `addon.copy with 1 helper, ${bytes} B`,
            ...walk(bytes, (view, at) => addon.copy(region, at, view, 0, bytes)),
          },
        ]),
  ]);
  return {
    cases,
    close: () => {
      addon?.copyStop();
      if (region !== undefined) addon.regionRemove(region);
    },
  };
}
