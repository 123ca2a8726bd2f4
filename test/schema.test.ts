// The published JSON Schema against the checks of `apply`: what is valid to both, what is refused by
// both, and where the schema, which cannot compare properties, is weaker.

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { Ajv } from 'ajv'
import fc from 'fast-check'
import t from 'tap'

import { takeDesired } from '#lib/desired'

import { atOnce } from './fixtures/at-once.js'
import { anyTable, configurationsOf, longestOfOurs, snapshotOf, text } from './fixtures/tables.js'

const schemaText = await readFile(
  fileURLToPath(import.meta.resolve('ipvs-netlink/schema.json')),
  'utf8',
)

// A property that is absent is written as one that nothing fits.
const ajv = new Ajv({ strict: true, strictRequired: false })
const fits = ajv.compile(JSON.parse(schemaText) as object)

const isTaken = (desired: unknown): boolean => {
  try {
    atOnce(takeDesired(desired))
    return true
  } catch {
    return false
  }
}

t.test('it is what the types say now', async (t) => {
  const file = join(tmpdir(), `ipvs-netlink-schema-${process.pid}.json`)
  const script = fileURLToPath(new URL('../types/schema.mjs', import.meta.url))
  await promisify(execFile)(process.execPath, [script, file])
  t.equal(schemaText, await readFile(file, 'utf8'))
})

const asFile = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

t.test('every valid table fits, as it is declared and as it is read', async (t) => {
  const tables = anyTable(5, ['rr', 'sed', 'mine-2'], longestOfOurs)
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(tables, (models) => {
        for (const value of [asFile(configurationsOf(models)), asFile(snapshotOf(models))]) {
          atOnce(takeDesired(value))
          if (!fits(value)) throw new Error(text(fits.errors))
        }
      }),
      { numRuns: 50 },
    ),
  )
})

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const none = { destinations: [] }
const service = (more: object): unknown => [{ ...web, ...none, ...more }]
const without = (name: string): unknown => [
  Object.fromEntries(Object.entries({ ...web, ...none }).filter(([each]) => each !== name)),
]
const destination = (more: object): unknown => [
  { ...web, destinations: [{ address: '10.0.0.2', ...more }] },
]
const tun = (tunnel: unknown): unknown => destination({ forwarding: 'tun', tunnel })

/** Least and most of every number. */
const ranges: Readonly<Record<string, readonly [(value: unknown) => unknown, number, number]>> = {
  port: [(port) => service({ port, persistence: {} }), 0, 65535],
  fwmark: [(fwmark) => [{ fwmark, ...none }], 1, 2 ** 32 - 1],
  timeout: [(timeout) => service({ persistence: { timeout } }), 1, 4_294_967],
  prefixLength: [
    (prefixLength) => service({ address: '2001:db8::1', persistence: { prefixLength } }),
    1,
    128,
  ],
  'port of a destination': [
    (port) => [{ fwmark: 1, destinations: [{ address: '10.0.0.2', port }] }],
    0,
    65535,
  ],
  weight: [(weight) => destination({ weight }), 0, 2 ** 31 - 1],
  upperThreshold: [(upperThreshold) => destination({ upperThreshold }), 0, 2 ** 31 - 1],
  lowerThreshold: [
    (lowerThreshold) => destination({ lowerThreshold, upperThreshold: 2 ** 31 - 1 }),
    0,
    2 ** 31 - 1,
  ],
  'port of a tunnel': [(port) => tun({ type: 'gue', port }), 1, 65535],
}

for (const [name, [of, least, most]] of Object.entries(ranges)) {
  t.test(`the range of ${name} is the same to both`, async (t) => {
    for (const [value, wanted] of [
      [least, true],
      [most, true],
      [least - 1, false],
      [most + 1, false],
      [least + 0.5, false],
      [String(most), false],
      [null, false],
    ] as const) {
      t.equal(isTaken(of(value)), wanted, `${String(value)} to apply`)
      t.equal(fits(of(value)), wanted, `${String(value)} to the schema`)
    }
  })
}

/** Refused by both. */
const wrong: Readonly<Record<string, unknown>> = {
  'no list': { ...web, ...none },
  'null for a service': [null],
  'no protocol': without('protocol'),
  'no address': without('address'),
  'no port': without('port'),
  'no destinations': without('destinations'),
  'another protocol': service({ protocol: 'icmp' }),
  'an address that is a number': service({ address: 10 }),
  'a misspelt property': service({ sheduler: 'rr' }),
  'a scheduler that is no text': service({ scheduler: 1 }),
  'one flag without a list': service({ schedulerFlags: 'flag-1' }),
  'an unknown flag': service({ schedulerFlags: ['sh'] }),
  'onePacket as a number': service({ onePacket: 1 }),
  'persistence as a number': service({ persistence: 360 }),
  'no persistence by null': service({ persistence: null }),
  'a misspelt property of persistence': service({ persistence: { timeOut: 1 } }),
  'a mask and a length': service({ persistence: { netmask: '255.0.0.0', prefixLength: 8 } }),
  'a mark and a port': [{ fwmark: 1, port: 80, ...none }],
  'a mark and an address': [{ fwmark: 1, ...web, ...none }],
  'another family': [{ fwmark: 1, family: 'inet', ...none }],
  'destinations by address': service({ destinations: { '10.0.0.2': {} } }),
  'a destination that is a text': service({ destinations: ['10.0.0.2'] }),
  'a destination without an address': service({ destinations: [{ port: 80 }] }),
  'local forwarding': destination({ forwarding: 'local' }),
  'a misspelt threshold': destination({ upperTreshold: 1 }),
  'a tunnel with nat': destination({ forwarding: 'nat', tunnel: { type: 'ipip' } }),
  'a tunnel with the default': destination({ tunnel: { type: 'ipip' } }),
  'another tunnel': tun({ type: 'vxlan' }),
  'a gue tunnel without a port': tun({ type: 'gue' }),
  'a gre tunnel with a port': tun({ type: 'gre', port: 1 }),
  'an ipip tunnel with a checksum': tun({ type: 'ipip', checksum: 'none' }),
  'remote checksums over gre': tun({ type: 'gre', checksum: 'remcsum' }),
}

for (const [title, desired] of Object.entries(wrong)) {
  t.test(`both refuse: ${title}`, async (t) => {
    t.notOk(isTaken(desired), 'apply')
    t.notOk(fits(desired), 'the schema')
  })
}

/** Refused by `apply` alone: what a text means, and what depends on another property. */
const weaker: Readonly<Record<string, unknown>> = {
  'a name for an address': service({ address: 'localhost' }),
  'an address of nobody': service({ address: '0.0.0.0' }),
  'a name of a destination': service({ destinations: [{ address: 'localhost' }] }),
  'a scheduler without a name': service({ scheduler: '' }),
  'a scheduler with a long name': service({ scheduler: 'x'.repeat(16) }),
  'a flag of another scheduler': service({ scheduler: 'rr', schedulerFlags: ['sh-port'] }),
  'one-packet scheduling of tcp': service({ onePacket: true }),
  'every port without persistence': service({ port: 0 }),
  'an IPv6 length for IPv4': service({ persistence: { prefixLength: 33 } }),
  'a mask with holes': service({ persistence: { netmask: '255.0.255.0' } }),
  'the engine sip over tcp': service({ persistence: { engine: 'sip' } }),
  'another port with dr': destination({ port: 81 }),
  'another family with dr': service({ destinations: [{ address: '::2' }] }),
  'thresholds the wrong way round': destination({ upperThreshold: 1, lowerThreshold: 2 }),
  'a service twice': [
    { ...web, ...none },
    { ...web, ...none },
  ],
  'a destination twice': service({
    destinations: [{ address: '10.0.0.2' }, { address: '10.0.0.2', port: 80 }],
  }),
}

for (const [title, desired] of Object.entries(weaker)) {
  t.test(`only apply refuses: ${title}`, async (t) => {
    t.notOk(isTaken(desired), 'apply')
    t.ok(fits(desired), 'the schema')
  })
}
