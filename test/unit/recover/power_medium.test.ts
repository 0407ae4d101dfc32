import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/bench/seeded_random.js";
import {
  type Chooser,
  digest,
  everyImage,
  FINE_SIZES,
  PowerMedium,
  randomChooser,
  usualChoosers,
  usualCount,
} from "../../helpers/power_medium.js";
import { RecordingFs } from "../../helpers/recording_fs.js";

/** Runs calls on a file system that holds the folder /d, and returns the medium under them. */
async function mediumOf(
  run: (fs: RecordingFs) => Promise<void>,
  base: (fs: RecordingFs) => Promise<void> = async () => {},
): Promise<PowerMedium> {
  const before = new RecordingFs();
  await before.mkdir("/d");
  await base(before);
  const fs = before.copy();
  await run(fs);
  const medium = new PowerMedium(before, FINE_SIZES);
  for (const [at, operation] of fs.log.entries()) medium.apply(operation, at);
  return medium;
}

async function write(fs: RecordingFs, path: string, bytes: Uint8Array, sync: boolean): Promise<void> {
  const file = await fs.open(path, "w");
  await file.writev([bytes], 0);
  if (sync) await file.datasync();
  await file.close();
}

async function syncFolder(fs: RecordingFs, path: string): Promise<void> {
  const folder = await fs.open(path, "r");
  await folder.sync();
  await folder.close();
}

const ones = (length: number): Uint8Array => new Uint8Array(length).fill(1);

/** Every image there is, each file as its name and content. */
function every(medium: PowerMedium): string[][] {
  const images = new Map<string, string[]>();
  const isAll = everyImage((choose) => {
    const fs = medium.image(choose);
    images.set(
      digest(fs),
      [...fs.files("/d")].map(([name, bytes]) => `${name}:${[...bytes].join("")}`),
    );
  }, 100_000);
  expect(isAll).toBe(true);
  return [...images.values()].sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

describe("after a power cut", () => {
  it("what was synced is there, once its name was synced as well", async () => {
    const both = await mediumOf(async (fs) => {
      await write(fs, "/d/a", ones(3), true);
      await syncFolder(fs, "/d");
    });
    expect(every(both)).toEqual([["a:111"]]);
    const dataOnly = await mediumOf((fs) => write(fs, "/d/a", ones(3), true));
    expect(every(dataOnly)).toEqual([[], ["a:111"]]);
  });

  it("a name may be there without its data, with zeros for it, and with a part", async () => {
    const medium = await mediumOf(async (fs) => {
      await write(fs, "/d/a", ones(40), false);
      await syncFolder(fs, "/d");
    });
    const lengths = [0, 16, 32, 40];
    const expected = lengths.flatMap((length) => {
      const torn = [0, 16, 32, 40].filter((tear) => tear <= length);
      return torn.map((tear) => [`a:${"1".repeat(tear)}${"0".repeat(length - tear)}`]);
    });
    expect(every(medium)).toEqual(expected.sort((a, b) => (a.join() < b.join() ? -1 : 1)));
  });

  it("pages are lost each for itself", async () => {
    const medium = await mediumOf(async (fs) => {
      await write(fs, "/d/a", ones(256), false);
      await syncFolder(fs, "/d");
    });
    const whole = every(medium).filter(([file]) => file.length === 2 + 256);
    const pages = whole.map(([file]) => [0, 1, 2, 3].map((page) => file[2 + 64 * page + 63]).join(""));
    expect(new Set(pages).size).toBe(16);
  });

  it("a file that was written over is the old one, the new one, or torn between them; nothing else", async () => {
    const medium = await mediumOf(
      async (fs) => {
        const file = await fs.open("/d/a", "r+");
        await file.writev([new Uint8Array(32).fill(2)], 0);
        await file.close();
      },
      (fs) => write(fs, "/d/a", ones(32), true),
    );
    expect(every(medium)).toEqual([
      [`a:${"1".repeat(32)}`],
      [`a:${"2".repeat(16)}${"1".repeat(16)}`],
      [`a:${"2".repeat(32)}`],
    ]);
  });

  it("a rename has happened or not, replaces at once, and needs its source", async () => {
    const medium = await mediumOf(
      async (fs) => {
        await write(fs, "/d/a.tmp", ones(1), true);
        await fs.rename("/d/a.tmp", "/d/a");
      },
      (fs) => write(fs, "/d/a", new Uint8Array(1), true),
    );
    expect(every(medium)).toEqual([["a:0"], ["a:0", "a.tmp:1"], ["a:1"]]);
  });

  it("of independent names any part is there, in whatever order they were made", async () => {
    const medium = await mediumOf(async (fs) => {
      for (const name of ["a", "b", "c"]) await write(fs, `/d/${name}`, ones(1), true);
      await fs.unlink("/d/b");
    });
    expect(every(medium)).toHaveLength(8);
  });

  it("a folder's sync keeps the names in it, and not its own", async () => {
    const medium = await mediumOf(async (fs) => {
      await fs.mkdir("/d/e");
      await write(fs, "/d/e/a", ones(1), true);
      await syncFolder(fs, "/d/e");
    });
    expect(every(medium)).toEqual([[], ["e/a:1"]]);
  });

  it("a sync does not keep what came while it was under way", async () => {
    const medium = await mediumOf(async (fs) => {
      const folder = await fs.open("/d", "r");
      let goOn = (): void => {};
      const held = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      fs.before = ({ method }) => (method === "file.sync" ? held : undefined);
      const synced = folder.sync();
      await write(fs, "/d/a", ones(1), true);
      goOn();
      await synced;
    });
    expect(every(medium)).toEqual([[], ["a:1"]]);
  });

  it("usual choices and random ones give images that are possible; the newest is what the system saw", async () => {
    const run = async (fs: RecordingFs): Promise<void> => {
      await write(fs, "/d/a", ones(80), false);
      await fs.rename("/d/a", "/d/b");
      await write(fs, "/d/c", ones(20), false);
    };
    const medium = await mediumOf(run);
    const possible = new Set(every(medium).map((image) => image.join()));
    const random = seededRandom(1);
    const usual = [...usualChoosers(medium.pending())];
    expect(usual).toHaveLength(usualCount(medium.pending().length));
    const choosers: Chooser[] = usual.map(([, choose]) => choose);
    for (let i = 0; i < 200; i++) choosers.push(randomChooser(random));
    for (const choose of choosers) {
      const image = [...medium.image(choose).files("/d")].map(([name, bytes]) => `${name}:${[...bytes].join("")}`);
      expect(possible).toContain(image.join());
    }
    const system = new RecordingFs();
    await system.mkdir("/d");
    await run(system);
    expect(medium.image(usual[0][1]).content("/d")).toEqual(system.content("/d"));
    expect(medium.image(usual[1][1]).content("/d")).toEqual({});
  });
});
