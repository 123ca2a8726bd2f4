// Addresses as words and texts, which are remembered.

import { isIPv4 } from 'node:net'

import fc from 'fast-check'
import t from 'tap'

import { familyNumbers } from '#lib/address'
import { AddressSeries } from '#lib/address-words'
import { ipv4Text, ipv4Word } from '#lib/ipv4'

const series = new AddressSeries()

/** As {@link ipv4Word}, of what is remembered. */
const knownWord = (text: string): number => {
  const words = series.get(text)
  return words?.family === familyNumbers.ipv4 ? words.first : 0
}

const bytesOf = (word: number): number[] => [...new Uint8Array(Int32Array.of(word).buffer)]

t.test('a text is the word of its bytes, and the word that text again', async (t) => {
  fc.assert(
    fc.property(fc.ipV4(), (text) => {
      const parts = text.split('.').map(Number)
      const [first = 0] = parts
      const word = ipv4Word(text)
      t.equal(knownWord(text), word)
      t.equal(knownWord(text), word, 'remembered')
      if (first === 0 || first > 223) {
        t.equal(word, 0)
        return
      }
      t.same(bytesOf(word), parts)
      t.equal(ipv4Text(word), text)
    }),
  )
})

t.test('what is no address has no word, asked once or twice', async (t) => {
  const piece = fc.constantFrom('1', '10', '255', '256', '01', '.', '..', '-1', ' ', '', '::', 'x')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const text = pieces.join('')
      for (const word of [ipv4Word(text), knownWord(text)]) {
        if (!isIPv4(text)) t.equal(word, 0, text)
      }
    }),
  )
})

t.test('addresses are right in whichever order they are asked for', async (t) => {
  const texts = Array.from({ length: 20 }, (_, last) => `192.168.100.${100 + last}`)
  const orders = fc.array(fc.constantFrom(...texts), { minLength: 20, maxLength: 60 })
  fc.assert(
    fc.property(orders, (order) => {
      const own = new AddressSeries()
      for (let round = 0; round < 2; ++round) {
        for (const text of order) t.equal(own.get(text)?.first, ipv4Word(text))
      }
    }),
  )
})

t.test('more addresses than are kept are still right', async (t) => {
  const count = 300_000
  const wrong = (from: number): number => {
    let found = 0
    for (let index = from; index < count; ++index) {
      const text = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
      const word = knownWord(text)
      if (word !== ipv4Word(text) || ipv4Text(word) !== text) ++found
    }
    return found
  }
  t.equal(wrong(0), 0)
  t.equal(wrong(count - 100), 0, 'the last ones')
  t.equal(wrong(0), 0, 'all of them again')
})
