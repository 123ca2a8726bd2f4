// IPv4 addresses as texts and as words: the four bytes as they are in memory. Texts are remembered, as
// the same servers are read again and again, and finding one is several times cheaper than writing
// digits. So an address has one text, and each reading leaves less to collect.

import { Known } from './known.js'
import { littleEndian } from './memory.js'

const zero = 48
/** A dot, as if it were a digit. */
const dot = -2

/** From one part of an address to the next in its word, in bits. */
const step = littleEndian ? 8 : -8

/**
 * The word of a dotted IPv4 address, as a signed integer. 0 for what is none, and for those of which
 * the first number is 0 or above 223, which are seldom meant.
 */
export const ipv4Word = (text: string): number => {
  const { length } = text
  let word = 0
  let part = -1
  let shift = littleEndian ? 0 : 24
  let dots = 0
  for (let at = 0; at < length; ++at) {
    const digit = (text.charCodeAt(at) - zero) | 0
    if (digit === dot) {
      if (part < 0 || dots === 3 || (dots === 0 && (part === 0 || part > 223))) return 0
      word |= part << shift
      shift = (shift + step) | 0
      dots = (dots + 1) | 0
      part = -1
    } else {
      // A zero in front is not allowed: to some it means octal.
      if (digit < 0 || digit > 9 || part === 0) return 0
      part = part < 0 ? digit : (10 * part + digit) | 0
      if (part > 255) return 0
    }
  }
  return dots === 3 && part >= 0 ? word | (part << shift) : 0
}

/** A byte of a word, in the order in which they are written. */
export const ipv4Byte = (word: number, index: number): number =>
  (word >>> (littleEndian ? 8 * index : 24 - 8 * index)) & 255

const parts = Array.from({ length: 256 }, (_, byte) => String(byte))

const format = (word: number): string =>
  [0, 1, 2, 3].map((index) => parts[ipv4Byte(word, index)]).join('.')

const texts = new Known<number, string>()

const learnText = (word: number): string => {
  const text = format(word)
  texts.keep(word, text)
  return text
}

/** The text of a word, read as a signed integer. */
export const ipv4Text = (word: number): string => texts.values.get(word) ?? learnText(word)
