import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/codec/crc32c.js";
import {
  type ChunkRecord,
  CommitFrame,
  encodeHeader,
  encodeSealed,
  type JournalHeader,
} from "../../../src/journal/journal_format.js";
import { type Journal, readJournal } from "../../../src/journal/read_journal.js";

const HEADER: JournalHeader = {
  writeId: "5b5fd1e0-0000-4000-8000-000000000000",
  array: "",
  row: 3,
  shardsPerRow: 2,
  chunksPerShard: 8,
  epochsPerShard: 4,
  epochRows: 10,
  durability: "batch",
};

interface Commit {
  readonly epochCount: number;
  readonly records: readonly ChunkRecord[];
}

interface Encoded {
  readonly bytes: Uint8Array;
  /** Where each frame ends. */
  readonly ends: readonly number[];
}

const ROW_FROM = HEADER.row * HEADER.epochsPerShard * HEADER.epochRows;

/** Rows that the commits reach up to. */
function rowToOf(commits: readonly Commit[], count = commits.length): number {
  return ROW_FROM + commits.slice(0, count).reduce((rows, { epochCount }) => rows + epochCount * HEADER.epochRows, 0);
}

function encode(commits: readonly Commit[], sealed: boolean): Encoded {
  const frame = new CommitFrame(Math.max(1, ...commits.map(({ records }) => records.length)));
  const frames = [encodeHeader(HEADER)];
  let epoch = 0;
  for (const [i, { epochCount, records }] of commits.entries()) {
    for (const record of records) frame.add(record);
    frames.push(frame.finish(epoch, epochCount, rowToOf(commits, i + 1)).slice());
    epoch += epochCount;
  }
  if (sealed) frames.push(encodeSealed(rowToOf(commits)));
  let end = 0;
  return { bytes: Buffer.concat(frames), ends: frames.map(({ byteLength }) => (end += byteLength)) };
}

/** As plain data. */
function commitsOf(journal: Journal): Commit[] {
  return journal.commits.map(({ epochCount, recordCount, record }) => ({
    epochCount,
    records: Array.from({ length: recordCount }, (_, i) => record(i)),
  }));
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const record: fc.Arbitrary<ChunkRecord> = fc.record({
  shard: u32,
  entry: u32,
  offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  nbytes: u32,
  crc: u32,
});
const commitsArbitrary: fc.Arbitrary<Commit[]> = fc.array(
  fc.record({ epochCount: fc.integer({ min: 1, max: 9 }), records: fc.array(record, { maxLength: 6 }) }),
  { maxLength: 5 },
);

/** What is read is the beginning of what was written, and the row counts as sealed only when all of it is there. */
function expectPrefix(damaged: Uint8Array, commits: readonly Commit[], sealed: boolean): Journal {
  const journal = readJournal(damaged);
  const read = commitsOf(journal);
  expect(read).toEqual(commits.slice(0, read.length));
  expect(journal.epochCount).toBe(read.reduce((sum, { epochCount }) => sum + epochCount, 0));
  if (journal.sealedRowTo !== undefined) {
    expect(sealed).toBe(true);
    expect(read.length).toBe(commits.length);
    expect(journal.sealedRowTo).toBe(rowToOf(commits));
  }
  return journal;
}

/** A sealed frame says where the row ends, so there is one only behind a commit. */
const isSealable = (commits: readonly Commit[]): boolean => commits.length > 0;

describe("a journal", () => {
  it("reads back as it was written", () => {
    fc.assert(
      fc.property(commitsArbitrary, fc.boolean(), (commits, seal) => {
        const sealed = seal && isSealable(commits);
        const { bytes } = encode(commits, sealed);
        const journal = readJournal(bytes);
        expect(journal.header).toEqual(HEADER);
        expect(commitsOf(journal)).toEqual(commits);
        expect(journal.commits.map(({ rowTo }) => rowTo)).toEqual(commits.map((_, i) => rowToOf(commits, i + 1)));
        expect(journal.sealedRowTo).toBe(sealed ? rowToOf(commits) : undefined);
        expect(journal.bytesRead).toBe(bytes.byteLength);
      }),
    );
  });

  const commits: readonly Commit[] = [
    {
      epochCount: 2,
      records: [0, 1, 2].map((i) => ({ shard: i % 2, entry: i, offset: 100 * i, nbytes: 100, crc: i })),
    },
    { epochCount: 1, records: [] },
    { epochCount: 1, records: [{ shard: 1, entry: 7, offset: 2 ** 40 + 5, nbytes: 2 ** 31, crc: 0xffff_ffff }] },
  ];

  it("that is cut off anywhere gives the commits before the cut", () => {
    const { bytes, ends } = encode(commits, true);
    for (let length = 0; length <= bytes.byteLength; length++) {
      const journal = expectPrefix(bytes.subarray(0, length), commits, true);
      const whole = ends.filter((end) => end <= length).length;
      expect(journal.header === undefined).toBe(whole === 0);
      expect(journal.commits.length).toBe(Math.max(0, Math.min(commits.length, whole - 1)));
      expect(journal.sealedRowTo !== undefined).toBe(length === bytes.byteLength);
      expect(journal.bytesRead).toBe(whole === 0 ? 0 : ends[whole - 1]);
    }
  });

  it("with any one byte changed, or all after it zero, gives commits from before it", () => {
    const { bytes, ends } = encode(commits, true);
    for (let at = 0; at < bytes.byteLength; at++) {
      const whole = ends.filter((end) => end <= at).length;
      for (const flip of [0x01, 0x80, 0xff, bytes[at]]) {
        if (flip === 0) continue;
        const damaged = Uint8Array.from(bytes);
        damaged[at] ^= flip;
        expect(expectPrefix(damaged, commits, true).bytesRead).toBe(whole === 0 ? 0 : ends[whole - 1]);
      }
      expectPrefix(Uint8Array.from(bytes).fill(0, at), commits, true);
    }
  });

  it("never makes anything up out of other bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readJournal(bytes)).toMatchObject({ header: undefined, commits: [], bytesRead: 0 });
      }),
    );
    fc.assert(
      fc.property(commitsArbitrary, fc.uint8Array({ maxLength: 60 }), fc.nat(), (written, noise, place) => {
        const { bytes } = encode(written, false);
        const at = place % (bytes.byteLength + 1);
        expectPrefix(Buffer.concat([bytes.subarray(0, at), noise]), written, false);
        expectPrefix(Buffer.concat([bytes, noise]), written, false);
      }),
    );
  });

  it("ends at a frame whose checksum is right and whose words are not", () => {
    const whole = encode(commits, false).bytes;
    const framed = (payload: Uint8Array): Uint8Array => {
      const head = new DataView(new ArrayBuffer(8));
      head.setUint32(0, payload.byteLength, true);
      head.setUint32(4, crc32c(payload), true);
      return Buffer.concat([new Uint8Array(head.buffer), payload]);
    };
    const gap = new CommitFrame(1).finish(5, 1, rowToOf(commits) + 10);
    const back = new CommitFrame(1).finish(4, 1, rowToOf(commits) - 10);
    const none = new CommitFrame(1).finish(4, 0, rowToOf(commits) + 10);
    const unknown = framed(Uint8Array.of(9, 0, 0, 0, 1));
    const short = framed(Uint8Array.of(2, 0));
    const longer = framed(Buffer.concat([gap.subarray(8), new Uint8Array(8)]));
    const elsewhere = encodeSealed(rowToOf(commits) + 1);
    for (const frame of [gap, back, none, unknown, short, longer, elsewhere, framed(new Uint8Array(0))]) {
      const journal = readJournal(Buffer.concat([whole, frame, encodeSealed(rowToOf(commits))]));
      expect(journal).toMatchObject({ bytesRead: whole.byteLength, sealedRowTo: undefined });
    }
    const otherFormat = framed(Buffer.concat([Uint8Array.of(1, 0, 0, 0), Buffer.from('{"format":2}')]));
    const noJson = framed(Buffer.concat([Uint8Array.of(1, 0, 0, 0), Buffer.from("{")]));
    for (const frame of [otherFormat, noJson]) expect(readJournal(frame).header).toBeUndefined();
  });

  it("takes no more records than its batch can have", () => {
    const frame = new CommitFrame(1);
    const one = { shard: 0, entry: 0, offset: 0, nbytes: 1, crc: 1 };
    frame.add(one);
    expect(() => frame.add(one)).toThrow(/room for its batch/);
  });
});
