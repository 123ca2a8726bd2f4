// Bytes of flat records, and the words of the same memory (native/netlink/table.h).

export const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
/** Of a number of 64 bits, by word. */
export const [lowWord, highWord] = littleEndian ? [0, 1] : [1, 0]

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Bytes of records, and the words of the same memory. */
export class Memory {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  #start: Uint8Array | undefined

  constructor(buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer)
    this.words = new Uint32Array(buffer)
  }

  word(at: number): number {
    return this.words[at >> 2] ?? 0
  }

  setWord(at: number, value: number): void {
    this.words[at >> 2] = value
  }

  /** The first bytes. Made once, as long as it is the same length that is asked for. */
  start(length: number): Uint8Array {
    if (this.#start?.length !== length) this.#start = this.bytes.subarray(0, length)
    return this.#start
  }

  text(at: number, size: number): string {
    const end = this.bytes.indexOf(0, at)
    const stop = end === -1 || end > at + size ? at + size : end
    return decoder.decode(this.bytes.subarray(at, stop))
  }

  setText(at: number, text: string): void {
    encoder.encodeInto(text, this.bytes.subarray(at))
  }

  /** Whether as many bytes, a multiple of 4, are the same in two places. */
  isEqual(at: number, other: number, size: number): boolean {
    for (let offset = 0; offset < size; offset += 4) {
      if (this.word(at + offset) !== this.word(other + offset)) return false
    }
    return true
  }

  /** Exact to 2^53. */
  number64(at: number): number {
    const low = this.word(at + 4 * lowWord)
    const high = this.word(at + 4 * highWord)
    // Mostly there is none, and then the number stays a small integer.
    return high === 0 ? low : low + high * 2 ** 32
  }

  bigint64(at: number): bigint {
    return BigInt(this.word(at + 4 * lowWord)) | (BigInt(this.word(at + 4 * highWord)) << 32n)
  }
}
