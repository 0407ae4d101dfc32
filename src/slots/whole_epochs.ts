/** Words of one staging slot: whole epochs, whether the engine was told, then a bit for each skipped epoch. */
const WORDS_BEFORE_MARKS = 2;

function wordsPerSlot(epochsPerSlot: number): number {
  return WORDS_BEFORE_MARKS + Math.ceil(epochsPerSlot / 32);
}

/** Bytes of shared memory for `slots` slots. */
export function wholeEpochsBytes(slots: number, epochsPerSlot: number): number {
  return 4 * slots * wordsPerSlot(epochsPerSlot);
}

/**
 * How far a staging slot that is still being filled may be encoded already: the producer counts its whole epochs here,
 * and the engine reads the count when the oldest of them has waited for long (EPOCHS_WHOLE). A slot's words belong to
 * its generation, from the producer's {@link begin} until the slot is free again.
 *
 * The engine looks because it was told, and is told once a look: the producer stores its count before it asks whether
 * it has to tell, the engine takes back that it was told before it reads the count. So of an epoch that one look misses
 * the engine is told again.
 */
export class WholeEpochs {
  readonly #words: Int32Array;
  readonly #perSlot: number;

  constructor(memory: SharedArrayBuffer, epochsPerSlot: number) {
    this.#words = new Int32Array(memory);
    this.#perSlot = wordsPerSlot(epochsPerSlot);
  }

  /** The producer holds the slot, and nothing is in it. */
  begin(slotIndex: number): void {
    const from = slotIndex * this.#perSlot;
    this.#words.fill(0, from, from + this.#perSlot);
  }

  /** Before the epoch is counted. Producer's thread. */
  markSkipped(slotIndex: number, epochInSlot: number): void {
    const word = slotIndex * this.#perSlot + WORDS_BEFORE_MARKS + (epochInSlot >> 5);
    this.#words[word] |= 1 << (epochInSlot & 31);
  }

  /** The slot's first `count` epochs hold their last byte. True: the engine is to be told. Producer's thread. */
  count(slotIndex: number, count: number): boolean {
    const word = slotIndex * this.#perSlot;
    Atomics.store(this.#words, word, count);
    return Atomics.exchange(this.#words, word + 1, 1) === 0;
  }

  /** How many epochs are whole. The producer tells when there are more. Engine's thread. */
  look(slotIndex: number): number {
    const word = slotIndex * this.#perSlot;
    Atomics.store(this.#words, word + 1, 0);
    return Atomics.load(this.#words, word);
  }

  /** Marks of the whole epochs [from, to) that were skipped, as `StagedBatch` has them. */
  skippedBetween(slotIndex: number, from: number, to: number): Uint8Array | undefined {
    const marks = slotIndex * this.#perSlot + WORDS_BEFORE_MARKS;
    return marksBetween((epoch) => (this.#words[marks + (epoch >> 5)] & (1 << (epoch & 31))) !== 0, from, to);
  }
}

/** One bit for each of the epochs [from, to), the first one's lowest; undefined: none is skipped. */
export function marksBetween(isSkipped: (epoch: number) => boolean, from: number, to: number): Uint8Array | undefined {
  let marks: Uint8Array | undefined;
  for (let epoch = from; epoch < to; epoch++) {
    if (!isSkipped(epoch)) continue;
    marks ??= new Uint8Array((to - from + 7) >> 3);
    marks[(epoch - from) >> 3] |= 1 << ((epoch - from) & 7);
  }
  return marks;
}
