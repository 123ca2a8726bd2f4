// What a soak's curve is judged by (test/soak/verdict.mjs), on a real one and on what goes wrong.

import { readFileSync } from 'node:fs'

import t from 'tap'

import { faultsOf } from '../test/soak/verdict.mjs'

interface Sample {
  readonly rss: number
  readonly descriptors: number
  readonly delay: number
  readonly idleDelay?: number
}

const [names = '', ...rows] = readFileSync(
  new URL('../docs/load-6.12.csv', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n')

const real = rows.map((row) => {
  const cells = row.split(',').map(Number)
  return Object.fromEntries(names.split(',').map((name, n) => [name, cells[n] ?? 0]))
}) as unknown as readonly Sample[]

/** Two handles had 256 changes each under way. */
const underWay = 512

const changed = (change: (sample: Sample, n: number) => Partial<Sample>): Sample[] =>
  real.map((sample, n) => ({ ...sample, ...change(sample, n) }))

t.test('a real curve has no fault', async (t) => {
  t.ok(real.length > 100)
  t.same(faultsOf(real, underWay), [])
})

t.test('descriptors leak', async (t) => {
  const slow = changed(({ descriptors }, n) => ({ descriptors: descriptors + (n > 80 ? 1 : 0) }))
  t.match(faultsOf(slow, underWay), [/^descriptors leak: 43, at the end 44$/])
  const passing = changed(({ descriptors }, n) => ({ descriptors: descriptors + (n % 4) }))
  t.same(faultsOf(passing, underWay), [], 'those of requests under way are none')
})

t.test('memory leaks', async (t) => {
  const growing = (mib: number): Sample[] =>
    changed(({ rss }, n) => ({ rss: rss + (n / real.length) * mib * 2 ** 20 }))
  t.match(faultsOf(growing(80), underWay), [/^memory leaks: /])
  t.same(faultsOf(growing(20), underWay), [], 'a heap that breathes')
  const small = (mib: number): Sample[] =>
    growing(mib).map((each) => ({ ...each, rss: each.rss / 4 }))
  t.match(faultsOf(small(200), underWay), [/^memory leaks: /])
  t.same(faultsOf(small(80), underWay), [], 'a quarter of little is little')
})

t.test('the event loop is held', async (t) => {
  const held = (ms: number, idleDelay: number): Sample[] =>
    changed(({ delay }) => ({ delay: delay + ms, idleDelay }))
  t.match(faultsOf(held(80, 21), underWay), [/^the event loop is held in \d+ of \d+ intervals$/])
  t.same(faultsOf(held(80, 21), 4 * underWay), [], 'four times the changes take four times as long')
  t.same(faultsOf(held(2500, 1500), underWay), [], 'the machine halts')
  t.same(faultsOf(held(20, 40), underWay), [], 'the machine is slow')
  t.match(faultsOf(held(2500, 40), underWay), [/held/])
  const oneIn = (many: number): Sample[] =>
    changed((sample, n) => (n % many === 0 ? { delay: sample.delay + 500 } : {}))
  t.same(faultsOf(oneIn(20), underWay), [], 'now and then')
  t.match(faultsOf(oneIn(7), underWay), [/held/], 'often')
})

t.test('a few samples say nothing', async (t) => {
  t.same(faultsOf([], underWay), [])
  const rising = Array.from({ length: 11 }, (_, n) => ({
    rss: n * 2 ** 30,
    descriptors: n,
    delay: 1e4,
  }))
  t.same(faultsOf(rising, underWay), [])
})
