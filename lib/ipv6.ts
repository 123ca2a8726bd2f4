// IPv6 addresses as texts, as their eight groups, and as words: the sixteen bytes as they are in
// memory. Texts are remembered, as those of IPv4 are (ipv4.ts).

import { Known } from './known.js'
import { littleEndian } from './memory.js'

/** Four words as signed integers. */
export type Ipv6Words = readonly [number, number, number, number]

const colon = 58

const digitOf = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

/** Moves the groups from one on to the end, with zeroes before them. */
const fillGap = (groups: number[], gap: number, count: number): void => {
  const moved = count - gap
  for (let index = 1; index <= moved; ++index) groups[8 - index] = groups[count - index] ?? 0
  for (let index = gap; index < 8 - moved; ++index) groups[index] = 0
}

/**
 * Reads the eight groups of an address; false for what is none, or is written with an IPv4 address at
 * its end.
 */
export const readGroups = (text: string, groups: number[]): boolean => {
  const { length } = text
  let count = 0
  let gap = -1
  let at = 0
  if (text.charCodeAt(0) === colon) {
    if (text.charCodeAt(1) !== colon) return false
    gap = 0
    at = 2
  }
  while (at < length) {
    let group = 0
    let digit = digitOf(text.charCodeAt(at))
    const end = at + 4
    if (digit < 0 || count === 8) return false
    while (digit >= 0 && at < end) {
      group = (group << 4) | digit
      // Past the end it is no number, and no digit.
      digit = digitOf(text.charCodeAt(++at))
    }
    groups[count++] = group
    if (at === length) break
    if (text.charCodeAt(at++) !== colon || at === length) return false
    if (text.charCodeAt(at) !== colon) continue
    if (gap !== -1) return false
    gap = count
    ++at
  }
  if (gap === -1) return count === 8
  if (count === 8) return false
  fillGap(groups, gap, count)
  return true
}

/** Where the longest run of at least two zero groups begins, and how long it is. */
const longestRun = (groups: readonly number[]): { start: number; length: number } => {
  let start = -1
  let length = 1
  for (let index = 0, zeroes = 0; index < 8; ++index) {
    zeroes = groups[index] === 0 ? zeroes + 1 : 0
    if (zeroes > length) {
      length = zeroes
      start = index + 1 - zeroes
    }
  }
  return { start, length }
}

const digits = Buffer.from('0123456789abcdef')
/** Eight groups and what is between them. */
const letters = Buffer.alloc(39)

/** The canonical text (RFC 5952) of eight groups. */
export const textOfGroups = (groups: readonly number[]): string => {
  const { start, length } = longestRun(groups)
  let end = 0
  for (let index = 0; index < 8; ++index) {
    if (index === start) {
      letters[end++] = colon
      // The one before the next group comes with that.
      if (start + length === 8) letters[end++] = colon
      index += length - 1
      continue
    }
    if (index > 0) letters[end++] = colon
    const group = groups[index] ?? 0
    for (
      let shift = group > 0xfff ? 12 : group > 0xff ? 8 : group > 0xf ? 4 : 0;
      shift >= 0;
      shift -= 4
    ) {
      letters[end++] = digits[(group >> shift) & 15] ?? 0
    }
  }
  return letters.toString('latin1', 0, end)
}

const swapped = (group: number): number => ((group & 0xff) << 8) | (group >>> 8)

const wordOf = (first = 0, second = 0): number =>
  littleEndian ? swapped(first) | (swapped(second) << 16) : (first << 16) | second

const firstOf = (word: number): number => (littleEndian ? swapped(word & 0xffff) : word >>> 16)

const secondOf = (word: number): number => (littleEndian ? swapped(word >>> 16) : word & 0xffff)

/** Shared by whatever is done in one go. */
const scratch = [0, 0, 0, 0, 0, 0, 0, 0]

/** Whether one machine can be reached there, of all that addressFault (address.ts) knows to say. */
const isOfOneMachine = ([a = 0, b, c, d, e, f, g, h]: readonly number[]): boolean => {
  // Multicast and link-local.
  if (a >= 0xff00 || (a & 0xffc0) === 0xfe80) return false
  const isLow = a === 0 && b === 0 && c === 0 && d === 0 && e === 0
  return !isLow || (f !== 0xffff && (f !== 0 || g !== 0 || h !== 0))
}

/** The words of an address; undefined for what is none, and for those that are seldom meant. */
export const ipv6Words = (text: string): Ipv6Words | undefined => {
  if (!readGroups(text, scratch) || !isOfOneMachine(scratch)) return undefined
  const [a, b, c, d, e, f, g, h] = scratch
  return [wordOf(a, b), wordOf(c, d), wordOf(e, f), wordOf(g, h)]
}

interface KnownText {
  readonly words: Ipv6Words
  readonly text: string
}

const texts = new Known<number, KnownText>()

/** The canonical text of words, read as signed integers. */
export const ipv6Text = (a: number, b: number, c: number, d: number): string => {
  // Of two addresses with the same key, the one that was asked for last is remembered.
  const key = Math.imul(Math.imul(Math.imul(a, 31) + b, 31) + c, 31) ^ d
  const known = texts.values.get(key)
  if (known) {
    const [first, second, third, fourth] = known.words
    if (first === a && second === b && third === c && fourth === d) return known.text
  }
  const text = textOfGroups([
    ...[firstOf(a), secondOf(a), firstOf(b), secondOf(b)],
    ...[firstOf(c), secondOf(c), firstOf(d), secondOf(d)],
  ])
  texts.keep(key, { words: [a, b, c, d], text })
  return text
}
