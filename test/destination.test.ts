// The whole space of valid destinations: said by a user, written into records, sent by the addon,
// read back and described.

import fc from 'fast-check'
import t from 'tap'

import { commands } from '#lib/commands'
import {
  describeDestination,
  destinationKeyOf,
  takeDestination,
  takeDestinationKey,
} from '#lib/destination'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'
import type { DestinationFields } from '#lib/records'
import { takeServiceKey } from '#lib/service'
import type { ServiceIdentity } from '#lib/service'

import { usableAddress, usableIpv4, usableIpv6 } from './fixtures/arbitraries.js'
import type { AnyAddress } from './fixtures/arbitraries.js'

type Config = Readonly<Record<string, unknown>>

/** A destination of a service, and how it is described with every default filled in. */
interface Case {
  readonly service: ServiceIdentity
  readonly config: Config
  readonly full: Config
}

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })

const anyService: fc.Arbitrary<ServiceIdentity> = fc
  .oneof(
    fc.record({
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      address: usableAddress.map(({ text }) => text),
      port: fc.oneof(fc.nat(65535), fc.constant(0)),
    }),
    fc.record({ fwmark: fc.constant(7), family: fc.constantFrom('ipv4', 'ipv6') }),
  )
  .map((key) => takeServiceKey(key, 'service'))

const anyPort = (
  service: ServiceIdentity,
  forwarding: string,
): fc.Arbitrary<number | undefined> => {
  if (service.port === undefined) return optional(fc.nat(65535))
  if (forwarding !== 'nat') return optional(fc.constant(service.port))
  return optional(fc.integer({ min: service.port === 0 ? 0 : 1, max: 65535 }))
}

const anyAddress = (service: ServiceIdentity, forwarding: string): fc.Arbitrary<AnyAddress> => {
  if (forwarding === 'tun') return usableAddress
  return service.family === 'ipv4' ? usableIpv4 : usableIpv6
}

const checksum = (...kinds: string[]): fc.Arbitrary<string | undefined> =>
  optional(fc.constantFrom('none', ...kinds))

const anyTunnel = optional(
  fc.oneof(
    fc.constant({ type: 'ipip' }),
    fc.record({ type: fc.constant('gre'), checksum: checksum('csum') }),
    fc.record({
      type: fc.constant('gue'),
      port: fc.integer({ min: 1, max: 65535 }),
      checksum: checksum('csum', 'remcsum'),
    }),
  ),
)

const fullTunnel = (
  tunnel: { type: string; checksum?: string | undefined } | undefined,
): Config => {
  if (tunnel === undefined || tunnel.type === 'ipip') return { type: 'ipip' }
  return { ...tunnel, checksum: tunnel.checksum ?? 'none' }
}

const anyNumber = fc.oneof(fc.nat(2 ** 31 - 1), fc.nat(10), fc.constant(2 ** 31 - 1))

const anyThresholds = fc.tuple(optional(anyNumber), optional(anyNumber)).map(([upper, lower]) => ({
  upperThreshold: upper,
  lowerThreshold: lower === undefined ? undefined : Math.min(lower, upper ?? 0),
}))

const observed = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 }

const anyDestination: fc.Arbitrary<Case> = fc
  .tuple(anyService, optional(fc.constantFrom('nat', 'dr', 'tun')))
  .chain(([service, given]) => {
    const forwarding = given ?? 'dr'
    return fc
      .record({
        address: anyAddress(service, forwarding),
        port: anyPort(service, forwarding),
        weight: optional(anyNumber),
        thresholds: anyThresholds,
        tunnel: forwarding === 'tun' ? anyTunnel : fc.constant(undefined),
      })
      .map(({ address, port, weight, thresholds, tunnel }) => ({
        service,
        config: { address: address.text, port, forwarding: given, weight, ...thresholds, tunnel },
        full: {
          address: address.canonical,
          port: port ?? service.port ?? 0,
          family: address.family,
          forwarding,
          weight: weight ?? 1,
          upperThreshold: thresholds.upperThreshold ?? 0,
          lowerThreshold: thresholds.lowerThreshold ?? 0,
          ...(forwarding === 'tun' && { tunnel: fullTunnel(tunnel) }),
          ...observed,
        },
      }))
  })

const format = recordFormat()
const { operation } = format
const { testing } = loadAddon()

const operationFor = (service: ServiceIdentity, fields: DestinationFields): Memory => {
  const memory = new Memory(new ArrayBuffer(operation.size))
  memory.setWord(0, commands.NEW_DEST)
  format.service.write(memory, operation.service, service.fields)
  format.destination.write(memory, operation.destination, fields)
  return memory
}

/** Through the record alone. */
const throughRecord = (service: ServiceIdentity, fields: DestinationFields): DestinationFields =>
  format.destination.read(operationFor(service, fields), operation.destination)

/** Through the addon's encoder and decoder: a request has the form of a reply. */
const throughWire = (service: ServiceIdentity, fields: DestinationFields): DestinationFields => {
  const request = new Uint8Array(testing.encodeOperation(operationFor(service, fields).bytes, 32))
  const record = testing.decodeReplies('destination', request)
  if (!record) throw new Error('the addon cannot read its own request')
  return format.destination.read(new Memory(record), 0)
}

const plain = (fields: object): unknown =>
  JSON.parse(
    JSON.stringify(fields, (_, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    ),
  )

const runs = { numRuns: 1000 }

t.test('a destination comes back from its record as it was said, defaults filled in', async (t) => {
  fc.assert(
    fc.property(anyDestination, ({ service, config, full }) => {
      const { fields } = takeDestination(config, 'destination', service)
      t.same(describeDestination(throughRecord(service, fields), service.fields.family), full)
    }),
    runs,
  )
})

t.test('a destination comes back from the wire as it was said', async (t) => {
  fc.assert(
    fc.property(anyDestination, ({ service, config, full }) => {
      const { fields } = takeDestination(config, 'destination', service)
      t.same(describeDestination(throughWire(service, fields), service.fields.family), full)
    }),
    runs,
  )
})

t.test('the service of a change arrives beside its destination', async (t) => {
  fc.assert(
    fc.property(anyDestination, ({ service, config }) => {
      const { fields } = takeDestination(config, 'destination', service)
      const request = testing.encodeOperation(operationFor(service, fields).bytes, 32)
      const record = testing.decodeReplies('service', new Uint8Array(request))
      const read = record && plain(format.service.read(new Memory(record), 0))
      t.match(read, plain(service.fields))
    }),
    runs,
  )
})

t.test('what is described means the same when it is taken again', async (t) => {
  fc.assert(
    fc.property(anyDestination, ({ service, config, full }) => {
      const { fields } = takeDestination(config, 'destination', service)
      const readBack = describeDestination(throughWire(service, fields), service.fields.family)
      const again = takeDestination({ ...readBack, stats: {} }, 'destination', service)
      t.same(plain(again.fields), plain(fields))
      t.same(plain(takeDestination(full, 'destination', service).fields), plain(fields))
    }),
    runs,
  )
})

t.test('the key of a whole destination identifies it', async (t) => {
  fc.assert(
    fc.property(anyDestination, ({ service, config, full }) => {
      const { fields } = takeDestinationKey(config, 'destination', service)
      t.same(destinationKeyOf(fields), { address: full['address'], port: full['port'] })
      t.same(Object.keys(fields).toSorted(), ['address', 'family', 'port'])
    }),
    runs,
  )
})

t.test(
  'a kernel that does not say the family of a destination means the service its own',
  async (t) => {
    const fields = {
      address: Uint8Array.from([10, 0, 0, 1, ...Array<number>(12).fill(0)]),
      port: 80,
      ...observed,
    }
    t.match(describeDestination(fields, 2), { family: 'ipv4', address: '10.0.0.1' })
    t.match(describeDestination(fields, 10), { family: 'ipv6', address: 'a00:1::' })
  },
)

t.test('what another program stored and this library refuses is described as it is', async (t) => {
  const fields = { family: 2, address: new Uint8Array(16), port: 80, ...observed }
  const forwardings = ['nat', 'local', 'tun', 'dr', 'bypass', 'nat', 'nat', 'nat']
  forwardings.forEach((forwarding, number) =>
    t.match(describeDestination({ ...fields, forwarding: number }, 2), { forwarding }),
  )
  const tunnel = { ...fields, forwarding: 2 }
  t.match(describeDestination({ ...tunnel, tunnelType: 9 }, 2), { tunnel: { type: 'ipip' } })
  t.match(describeDestination({ ...tunnel, tunnelType: 1, tunnelPort: 7, tunnelFlags: 3 }, 2), {
    tunnel: { type: 'gue', port: 7, checksum: 'remcsum' },
  })
})
