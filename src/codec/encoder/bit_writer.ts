/** A little-endian bit stream: the first bit written is bit 0 of byte 0. */
export class BitWriter {
  readonly #bytes: number[] = [];
  #word = 0;
  #count = 0;

  /** The lower `bits` bits of `value`; at most 16 of them. */
  put(value: number, bits: number): void {
    this.#word |= (value & ((1 << bits) - 1)) << this.#count;
    this.#count += bits;
    while (this.#count >= 8) {
      this.#bytes.push(this.#word & 0xff);
      this.#word >>>= 8;
      this.#count -= 8;
    }
  }

  /** Zeros up to a full byte. */
  bytes(): Uint8Array {
    return Uint8Array.from(this.#count > 0 ? [...this.#bytes, this.#word] : this.#bytes);
  }

  /** The end mark of a stream that is read backwards, then zeros up to a full byte. */
  finish(): Uint8Array {
    this.put(1, 1);
    return this.bytes();
  }
}
