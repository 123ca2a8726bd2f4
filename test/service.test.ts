// The whole space of valid services: said by a user, written into records, sent by the addon, read
// back and described.

import fc from 'fast-check'
import t from 'tap'

import { commands } from '#lib/commands'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'
import type { ServiceFields } from '#lib/records'
import {
  describeService,
  keyOfFields,
  nameService,
  takeService,
  takeServiceKey,
} from '#lib/service'

import { usableAddress } from './fixtures/arbitraries.js'

type Config = Readonly<Record<string, unknown>>

/** A configuration, and how it is described with every default filled in. */
interface Case {
  readonly config: Config
  readonly full: Config
}

/** A property that may be left out, or be undefined, which means the same. */
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })

const maybe = (name: string, value: unknown): Config =>
  value === undefined ? {} : { [name]: value }

const schedulerNames = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'sh', 'mh', 'sed', 'twos', 'none']
const anyName = (most: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[A-Za-z0-9_.-]{1,${most}}$`))

const anyScheduler = optional(
  fc.oneof(fc.constantFrom(...schedulerNames), fc.constantFrom('sh', 'mh'), anyName(15)),
)

/** Each bit has one name that it is read back with. */
const flagsFor = (scheduler: string): readonly (readonly [bit: number, names: string[]])[] => {
  const own = (flag: string): string[] =>
    ['sh', 'mh'].includes(scheduler) ? [`${scheduler}-${flag}`] : []
  return [
    [0x08, [...own('fallback'), 'flag-1']],
    [0x10, [...own('port'), 'flag-2']],
    [0x20, ['flag-3']],
  ]
}

const anyFlags = (
  scheduler: string,
): fc.Arbitrary<{ given?: string[]; bits: number; full: string[] }> => {
  const known = flagsFor(scheduler)
  return optional(fc.array(fc.constantFrom(...known.flatMap(([, names]) => names)))).map(
    (given) => {
      const set = known.filter(([, names]) => names.some((name) => given?.includes(name) ?? false))
      return {
        ...(given && { given }),
        bits: set.reduce((bits, [bit]) => bits | bit, 0),
        full: set.map(([, [name = '']]) => name),
      }
    },
  )
}

const dottedMask = fc.integer({ min: 1, max: 32 }).map((prefixLength) => {
  const bits = '1'.repeat(prefixLength).padEnd(32, '0')
  const bytes = bits.match(/.{8}/g) ?? []
  return {
    config: { netmask: bytes.map((byte) => Number.parseInt(byte, 2)).join('.') },
    full: { prefixLength },
  }
})

const anyMask = (family: string): fc.Arbitrary<Case> => {
  const most = family === 'ipv4' ? 32 : 128
  const prefix = optional(fc.integer({ min: 1, max: most })).map((prefixLength) => ({
    config: { prefixLength },
    full: { prefixLength: prefixLength ?? most },
  }))
  return family === 'ipv4' ? fc.oneof(prefix, dottedMask) : prefix
}

const anyPersistence = (family: string, overUdp: boolean): fc.Arbitrary<Case> =>
  fc
    .tuple(
      optional(fc.integer({ min: 1, max: 4_294_967 })),
      anyMask(family),
      optional(anyName(16).filter((name) => overUdp || name !== 'sip')),
      fc.boolean(),
    )
    .map(([timeout, mask, name, sip]) => {
      const engine = overUdp && sip ? 'sip' : name
      return {
        config: { timeout, engine, ...mask.config },
        full: { timeout: timeout ?? 360, ...mask.full, ...maybe('engine', engine) },
      }
    })

interface KeyCase extends Case {
  readonly family: string
  readonly overUdp: boolean
}

const addressKey: fc.Arbitrary<KeyCase> = fc
  .tuple(fc.constantFrom('tcp', 'udp', 'sctp'), usableAddress, fc.nat(65535))
  .map(([protocol, { family, text, canonical }, port]) => ({
    config: { protocol, address: text, port },
    full: { protocol, address: canonical, port },
    family,
    overUdp: protocol === 'udp',
  }))

const fwmarkKey: fc.Arbitrary<KeyCase> = fc
  .tuple(
    fc.oneof(fc.integer({ min: 1, max: 2 ** 32 - 1 }), fc.constantFrom(1, 2 ** 31, 2 ** 32 - 1)),
    optional(fc.constantFrom('ipv4', 'ipv6')),
  )
  .map(([fwmark, family]) => ({
    config: { fwmark, family },
    full: { fwmark, family: family ?? 'ipv4' },
    family: family ?? 'ipv4',
    overUdp: true,
  }))

const anySettings = (key: KeyCase): fc.Arbitrary<Case> =>
  anyScheduler.chain((scheduler) =>
    fc
      .tuple(
        anyFlags(scheduler ?? 'wlc'),
        optional(key.overUdp ? fc.boolean() : fc.constant(false)),
        optional(anyPersistence(key.family, key.overUdp)),
        anyPersistence(key.family, key.overUdp),
      )
      .map(([flags, onePacket, chosen, forPort0]) => {
        const persistence = key.config['port'] === 0 ? forPort0 : chosen
        return {
          config: {
            ...key.config,
            scheduler,
            schedulerFlags: flags.given,
            onePacket,
            persistence: persistence?.config,
          },
          full: {
            ...key.full,
            scheduler: scheduler ?? 'wlc',
            schedulerFlags: flags.full,
            onePacket: onePacket ?? false,
            ...maybe('persistence', persistence?.full),
          },
        }
      }),
  )

const anyService: fc.Arbitrary<Case> = fc.oneof(addressKey, fwmarkKey).chain(anySettings)

const format = recordFormat()
const { operation } = format
const { testing } = loadAddon()

const operationFor = (fields: ServiceFields): Memory => {
  const memory = new Memory(new ArrayBuffer(operation.size))
  memory.setWord(0, commands.NEW_SERVICE)
  format.service.write(memory, operation.service, fields)
  return memory
}

/** Through the record alone. */
const throughRecord = (fields: ServiceFields): ServiceFields =>
  format.service.read(operationFor(fields), operation.service)

/** Through the addon's encoder and decoder: a request has the form of a reply. */
const throughWire = (fields: ServiceFields): ServiceFields => {
  const request = new Uint8Array(testing.encodeOperation(operationFor(fields).bytes, 32))
  const record = testing.decodeReplies('service', request)
  if (!record) throw new Error('the addon cannot read its own request')
  return format.service.read(new Memory(record), 0)
}

const plain = (fields: object): unknown =>
  JSON.parse(
    JSON.stringify(fields, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    ),
  )

const runs = { numRuns: 1000 }

t.test(
  'a service comes back from its record as it was said, every default filled in',
  async (t) => {
    fc.assert(
      fc.property(anyService, ({ config, full }) => {
        const { fields } = takeService(config, 'service')
        t.same(describeService(throughRecord(fields)), full)
        // What the kernel adds by itself: IP_VS_SVC_F_HASHED.
        t.same(describeService({ ...fields, flags: (fields.flags ?? 0) | 0x02 }), full)
      }),
      runs,
    )
  },
)

t.test('a service comes back from the wire as it was said', async (t) => {
  fc.assert(
    fc.property(anyService, ({ config, full }) => {
      const { fields } = takeService(config, 'service')
      t.same(describeService(throughWire(fields)), full)
    }),
    runs,
  )
})

t.test('what is described means the same when it is taken again', async (t) => {
  fc.assert(
    fc.property(anyService, ({ config, full }) => {
      const first = takeService(config, 'service')
      const readBack = {
        ...describeService(throughWire(first.fields)),
        stats: {},
        destinations: [],
      }
      t.same(plain(takeService(readBack, 'service').fields), plain(first.fields))
      t.same(plain(takeService(full, 'service').fields), plain(first.fields))
    }),
    runs,
  )
})

t.test('the key of a whole service identifies it, and errors show it canonically', async (t) => {
  fc.assert(
    fc.property(anyService, ({ config, full }) => {
      const whole = takeService(config, 'service')
      const { fields } = takeServiceKey(config, 'service')
      const key = keyOfFields(fields)
      const names = 'fwmark' in config ? ['fwmark', 'family'] : ['protocol', 'address', 'port']
      t.same(key, Object.fromEntries(names.map((name) => [name, full[name]])))
      t.same(keyOfFields(whole.fields), key)
      const identity = plain(fields) as Config
      t.match(plain(whole.fields), identity)
      t.notOk('scheduler' in identity || 'flags' in identity, 'and nothing but it')
    }),
    runs,
  )
})

t.test('a service is named in messages as a person would', async (t) => {
  t.equal(nameService({ protocol: 'tcp', address: '10.0.0.1', port: 80 }), 'tcp 10.0.0.1:80')
  t.equal(
    nameService({ protocol: 'udp', address: '2001:db8::1', port: 53 }),
    'udp [2001:db8::1]:53',
  )
  t.equal(nameService({ fwmark: 7 }), 'fwmark 7 (ipv4)')
  t.equal(nameService({ fwmark: 7, family: 'ipv6' }), 'fwmark 7 (ipv6)')
})

t.test('what another program stored and this library refuses is described as it is', async (t) => {
  const base: ServiceFields = {
    family: 2,
    protocol: 6,
    address: new Uint8Array(16),
    port: 80,
    scheduler: 'rr',
  }
  const persistent = { ...base, flags: 1, timeout: 0 }
  const mask = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)
  t.match(describeService({ ...base, protocol: 47 }), { protocol: '47' })
  t.match(describeService({ ...persistent, netmask: mask(255, 0, 255, 0) }), {
    persistence: { timeout: 0, netmask: '255.0.255.0' },
  })
  t.match(describeService({ ...persistent, netmask: mask(0, 0, 0, 0) }), {
    persistence: { netmask: '0.0.0.0' },
  })
  t.match(describeService({ ...base, flags: 0x3f, scheduler: 'rr' }), {
    schedulerFlags: ['flag-1', 'flag-2', 'flag-3'],
    onePacket: true,
  })
  t.notOk('persistence' in describeService({ ...base, timeout: 60 }), 'a timeout alone is inert')
})
