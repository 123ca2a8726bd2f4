// Addresses as the words of records.

import { familyNumbers } from './address.js'
import { ipv4Word } from './ipv4.js'
import { ipv6Words } from './ipv6.js'
import { Known } from './known.js'

/** An address as signed integers: the bytes as they are in memory. */
export interface AddressWords {
  /** `AF_INET` or `AF_INET6`. */
  readonly family: number
  readonly first: number
  /** 0 of an IPv4 address, as the two after it. */
  readonly second: number
  readonly third: number
  readonly fourth: number
}

/** Undefined for what is no address, and for addresses that are seldom meant. */
export const readAddress = (text: string): AddressWords | undefined => {
  const word = ipv4Word(text)
  if (word !== 0) {
    return { family: familyNumbers.ipv4, first: word, second: 0, third: 0, fourth: 0 }
  }
  const words = ipv6Words(text)
  if (words === undefined) return undefined
  const [first, second, third, fourth] = words
  return { family: familyNumbers.ipv6, first, second, third, fourth }
}

/** A shorter text is never a part of another one, which it would keep from being collected (V8). */
const leastPart = 13

const copyOf = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

/** An address of a series. */
interface KnownAddress extends AddressWords {
  readonly text: string
  /** The one that was asked for after this one, the last time. */
  next: KnownAddress | undefined
}

/** Addresses that will be asked for again, mostly in the same order: the next one is expected. */
export class AddressSeries {
  // Its own, as the links are: an entry of another series would be reached from this one for ever.
  readonly #known = new Known<string, KnownAddress>()
  #last: KnownAddress | undefined

  /**
   * As {@link readAddress}. The first time takes ten times as long, later ones with the same string a
   * quarter, and an eighth if it is the one that is expected.
   */
  get(text: string): AddressWords | undefined {
    const expected = this.#last?.next
    if (expected?.text !== text) return this.#find(text)
    this.#last = expected
    return expected
  }

  #find(text: string): AddressWords | undefined {
    const found = this.#known.values.get(text)
    return found ? this.#follow(found) : this.#learn(text)
  }

  #follow(address: KnownAddress): AddressWords {
    if (this.#last) this.#last.next = address
    this.#last = address
    return address
  }

  #learn(text: string): AddressWords | undefined {
    const words = readAddress(text)
    if (words === undefined) return undefined
    const { family, first, second, third, fourth } = words
    const own = text.length < leastPart ? text : copyOf(text)
    const address = { family, first, second, third, fourth, text: own, next: undefined }
    // What is not kept must not be reached from what is, either.
    return this.#known.keep(own, address) ? this.#follow(address) : words
  }
}
