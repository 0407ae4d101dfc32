/**
 * Cuts a byte stream of any piece sizes into views of whole elements: what `append` takes. The bytes of an element that
 * a piece splits are carried to the front of the next one.
 *
 * One buffer is lent out again and again: a returned view is valid until the next call. That is enough, because
 * `append` has copied the bytes when it resolves.
 */
export class ElementCarry {
  readonly #itemBytes: number;
  readonly #buffer: Uint8Array;
  /** Bytes of a split element, at the front of the buffer once `settle` has moved them there. */
  #carried = 0;
  /** Where the carried bytes lie: behind the last view that was handed out. */
  #carryStart = 0;

  /** @param pieceBytes most bytes added by one fill; a view can be up to itemBytes − 1 longer */
  constructor(itemBytes: number, pieceBytes: number) {
    this.#itemBytes = itemBytes;
    this.#buffer = new Uint8Array(pieceBytes + itemBytes - 1);
  }

  /** Bytes of an element that is not complete yet. */
  get carriedBytes(): number {
    return this.#carried;
  }

  /** Free room behind the carried bytes; at least `pieceBytes`. Write there, then call `filled`. */
  room(): Uint8Array {
    this.#settle();
    return this.#buffer.subarray(this.#carried);
  }

  /**
   * Takes `count` bytes that were written to `room()`; returns the whole elements among all bytes held (may be empty).
   */
  filled(count: number): Uint8Array {
    this.#settle();
    const held = this.#carried + count;
    const whole = held - (held % this.#itemBytes);
    this.#carryStart = whole;
    this.#carried = held - whole;
    return this.#buffer.subarray(0, whole);
  }

  #settle(): void {
    if (this.#carryStart === 0) return;
    this.#buffer.copyWithin(0, this.#carryStart, this.#carryStart + this.#carried);
    this.#carryStart = 0;
  }
}
