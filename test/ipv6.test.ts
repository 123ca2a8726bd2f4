// IPv6 addresses as texts, groups and words, which are remembered.

import { isIPv6 } from 'node:net'

import fc from 'fast-check'
import t from 'tap'

import { addressFault, familyNumbers, formatAddress, parseAddress } from '#lib/address'
import { AddressSeries } from '#lib/address-words'
import { ipv6Text, ipv6Words, readGroups } from '#lib/ipv6'
import type { Ipv6Words } from '#lib/ipv6'

const series = new AddressSeries()

/** As {@link ipv6Words}, of what is remembered. */
const knownWords = (text: string): Ipv6Words | undefined => {
  const words = series.get(text)
  if (words?.family !== familyNumbers.ipv6) return undefined
  return [words.first, words.second, words.third, words.fourth]
}

const bytesOf = (words: readonly number[]): number[] => [
  ...new Uint8Array(Int32Array.from(words).buffer),
]

t.test('a text is the words of its bytes, and the words its canonical text', async (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const address = parseAddress(text)
      if (!address) throw new Error(`${text} is an address`)
      const words = ipv6Words(text)
      t.same(knownWords(text), words)
      t.same(knownWords(text), words, 'remembered')
      if (!words) {
        t.ok(addressFault(address) !== undefined || text.includes('.'), text)
        return
      }
      t.equal(addressFault(address), undefined)
      t.same(bytesOf(words), [...address.bytes])
      const [a, b, c, d] = words
      t.equal(ipv6Text(a, b, c, d), formatAddress('ipv6', address.bytes))
      t.equal(ipv6Text(a, b, c, d), formatAddress('ipv6', address.bytes), 'remembered')
    }),
    { numRuns: 200 },
  )
})

t.test('what is no address has no groups', async (t) => {
  const piece = fc.constantFrom(
    ...['1', 'ffff', '0', '0000', '12345', ':', ':', '::', 'g', '%lo', ' ', '-1', '', 'Ab'],
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 18 }), (pieces) => {
      const text = pieces.join('')
      const isAddress = isIPv6(text) && !text.includes('%')
      t.equal(readGroups(text, []), isAddress, text)
      t.equal(parseAddress(text) !== undefined, isAddress, text)
      if (!isAddress) t.equal(knownWords(text), undefined)
    }),
    { numRuns: 600 },
  )
})

t.test('of two addresses with the same key each has its own text', async (t) => {
  // What differs in the first word is undone in the second.
  const [first, second] = [ipv6Text(1, 0, 0, 7), ipv6Text(0, 31, 0, 7)]
  t.not(first, second)
  t.equal(ipv6Text(1, 0, 0, 7), first)
  t.equal(ipv6Text(0, 31, 0, 7), second)
})

t.test('more addresses than are kept are still right', async (t) => {
  let wrong = 0
  for (let round = 0; round < 2; ++round) {
    for (let index = 0; index < 150_000; ++index) {
      const text = `2001:db8:1::${(index >> 16) + 1}:${(index & 0xffff).toString(16)}`
      const words = knownWords(text)
      if (!words || ipv6Text(...words) !== text) ++wrong
    }
  }
  t.equal(wrong, 0)
})
