// Cutting one chunk out of an epoch: the addon, TypeScript, and a plain copy of as many bytes. Chunks are taken one
// after the other, so source and destination are cold.
import { TypeScriptGather } from "../../dist/cpu/gather.js";
import { describeGeometry } from "../../dist/geometry/array_geometry.js";
import { epochTable } from "../../dist/geometry/epoch_table.js";

const dim = (name, size, chunk) => ({ name, size, chunk });
const SHAPES = [
  ["rows of 512 B (orca2)", [dim("t", null, 4), dim("y", 2304, 128), dim("x", 4096, 256)]],
  [
    "every third element (cube256)",
    [dim("t", null, 1), dim("z", 64, 32), dim("y", 256, 32), dim("x", 256, 64), dim("c", 3, 1)],
  ],
  ["whole rows (smallepoch)", [dim("t", null, 2048), dim("y", 16, 16), dim("x", 16, 16)]],
];

export function gatherGroup(addon) {
  const cases = SHAPES.flatMap(([what, dimensions]) => {
    const g = describeGeometry("uint16", dimensions);
    const table = epochTable(g);
    const epochs = Math.max(1, Math.ceil((64 * 2 ** 20) / g.epochBytes));
    const source = new Uint8Array(epochs * g.epochBytes).fill(3);
    const target = new Uint8Array(epochs * g.chunksPerEpoch * g.chunkBytes).fill(4);
    const description = {
      itemBytes: g.itemBytes,
      chunkShape: Uint32Array.from(g.chunk),
      srcStrides: table.srcStrides,
      fill: new Uint8Array(g.itemBytes),
    };
    const each = (gather) => {
      const chunks = epochs * g.chunksPerEpoch;
      const extents = Array.from({ length: g.chunksPerEpoch }, (_, c) =>
        table.extents.slice(c * g.rank, (c + 1) * g.rank),
      );
      let next = 0;
      return {
        bytes: g.chunkBytes,
        run: () => {
          const chunk = next % g.chunksPerEpoch;
          const from = Math.floor(next / g.chunksPerEpoch) * g.epochBytes + table.srcOffset[chunk];
          gather(from, extents[chunk], next * g.chunkBytes);
          next = (next + 1) % chunks;
        },
      };
    };
    const script = new TypeScriptGather(description);
    const native = addon?.gatherCreate(description);
    return [
      {
        title: `${what}: TypeScript`,
        ...each((from, extents, to) => script.gather(source, from, extents, target, to)),
      },
      ...(addon === undefined
        ? []
        : [
            {
              title: `${what}: addon (${addon.features.gather})`,
              ...each((from, extents, to) => addon.gather(native, source, from, extents, target, to)),
            },
          ]),
      {
        title: `${what}: copy of a chunk's bytes`,
        ...each((_from, _extents, to) => {
          // An epoch of clipped chunks is smaller than its chunks are together.
          const from = to % (source.length - g.chunkBytes + 1);
          target.set(source.subarray(from, from + g.chunkBytes), to);
        }),
      },
    ];
  });
  return { cases };
}
